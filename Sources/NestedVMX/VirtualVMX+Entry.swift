import EntryChecks
import VMX
import X86

/// VMLAUNCH and VMRESUME.
extension VirtualVMX {
  /// SDM volume 3, "VMLAUNCH/VMRESUME—Launch/Resume Virtual Machine".
  mutating func enter(launching: Bool) throws(VMXInstructionFailure) -> VMXInstructionOutcome {
    try requireRootOperation()
    guard currentVMCS != nil, vmcs12Region.revision & VMCSRevision.shadowIndicator == 0 else {
      throw .invalid
    }
    work.vmcsReads &+= 1
    guard !vmcs01.interruptibilityState.contains(.blockingByMOVSS) else {
      throw .fail(.entryEventsBlockedByMOVSS)
    }
    guard launching != vmcs12Region.isLaunched else {
      throw .fail(launching ? .vmlaunchNonClearVMCS : .vmresumeNonLaunchedVMCS)
    }
    drainShadow()
    if let failure = entryFailure() {
      if let error = failure.instructionError { throw .fail(error) }
      return entryFailed(failure)
    }
    enterL2(launching: launching)
    return .enterL2(
      loadMSRs: MSRList(
        address: vmcs12Region[.entryMSRLoadAddress], count: vmcs12Region[.entryMSRLoadCount]))
  }

  /// Calls `body` with every check that vmcs12 violates as it stands, in the SDM's order. For a VM entry that failed,
  /// the first violation decided how.
  public mutating func forEachViolation(_ body: (EntryViolation) -> Void) {
    guard currentVMCS != nil else { return }
    inspection().forEachViolation(body)
  }

  /// What the first violated check of the VM entry makes of it, or nil if all are met.
  ///
  /// A VMCS that is known to pass costs L0 in virtual time what checking it does.
  mutating func entryFailure() -> EntryFailure? {
    let memory = memory
    let circumstances = EntryCircumstances(
      of: vmcs12Region, isInIA32eMode: isInIA32eMode, currentVMCSPointer: currentVMCS?.rawValue
    ) { address in memory.word(at: PhysicalAddress(address)) }
    if memo.passes(vmcs12Region, in: circumstances) {
      countInspection()
      return nil
    }
    if let violation = inspection().firstViolation { return violation.failure }
    memo.remember(vmcs12Region, in: circumstances)
    return nil
  }

  /// Whether L1 is in IA-32e mode.
  var isInIA32eMode: Bool { EFER(rawValue: vmcs01[.guestEFER]).contains(.lma) }

  /// The work of the checks, which read about as many words of vmcs12 as it has fields.
  mutating func countInspection() {
    work.vmcsReads &+= 1
    work.memoryReads &+= UInt64(VMCSField.count)
  }

  /// vmcs12 as the checks on VM entry see it.
  mutating func inspection() -> EntryInspection {
    let environment = EntryEnvironment(
      capabilities: capabilities, physicalWidth: physicalAddressWidth, isInIA32eMode: isInIA32eMode,
      currentVMCSPointer: currentVMCS?.rawValue)
    countInspection()
    let memory = memory
    return EntryInspection(vmcs: vmcs12Region, environment: environment) { address in
      memory.word(at: PhysicalAddress(address))
    }
  }

  /// Merges vmcs02 and turns to it.
  mutating func enterL2(launching: Bool) {
    mergeVirtualAPIC()
    merge.eptPointer = eptPointer02()
    lookAtDirtyFlags()
    composeAhead()
    prepareVPID()
    mergeBitmaps()
    mergeShadowing()
    loadPDPTEsOfL2()
    Merge.merge(
      vmcs01: vmcs01, vmcs12: vmcs12Region, into: vmcs02, context: merge, counting: &work)
    enteredByLaunch = launching
    vmcs12Region.isLaunched = true
    isInL2 = true
  }

  /// Gives L2 the VPID of L0 that stands for L1's. Without VPIDs, every transition between L1 and L2 has the processor
  /// forget all (SDM volume 3, "Operations that Invalidate Cached Mappings").
  mutating func prepareVPID() {
    let vpid12 =
      vmcs12Region.effectiveSecondaryControls.contains(.enableVPID)
      ? UInt16(truncatingIfNeeded: vmcs12Region[.vpid]) : 0
    let wasAnothers = vpids02.select(vpid12)
    if vpid12 == 0 || wasAnothers { forgetLinearMappingsOfL2() }
    merge.vpid = hasVPIDs02 ? UInt64(vpid02(ofSlot: vpids02.current)) : 0
  }

  /// The PDPTEs of L2: vmcs12's if L1 uses EPT, else those that L2's CR3 points to, as VM entry would load them.
  mutating func loadPDPTEsOfL2() {
    let vmcs12 = vmcs12Region
    if usesEPT12 {
      merge.pdptes = (
        vmcs12[.guestPDPTE0], vmcs12[.guestPDPTE1], vmcs12[.guestPDPTE2], vmcs12[.guestPDPTE3]
      )
      return
    }
    let usesPAE =
      CR0(rawValue: vmcs12[.guestCR0]).contains(.pg) && CR4(rawValue: vmcs12[.guestCR4]).contains(.pae)
      && !vmcs12.entryControls.contains(.ia32eModeGuest)
    merge.pdptes = usesPAE ? pdptes(at: vmcs12[.guestCR3]) : (0, 0, 0, 0)
  }

  /// The four PDPTEs that `cr3` points to in L1's memory; those in a hole are not present.
  mutating func pdptes(at cr3: UInt64) -> (UInt64, UInt64, UInt64, UInt64) {
    let table = PhysicalAddress<L1>(cr3 & 0xFFFF_FFE0)
    work.memoryReads &+= 4
    return (
      memory.word(at: table) ?? 0, memory.word(at: table + 8) ?? 0, memory.word(at: table + 16) ?? 0,
      memory.word(at: table + 24) ?? 0
    )
  }

  /// Ends a VM entry whose MSR-load list failed at entry `position`, from 0: L1 continues as after a VM exit.
  public mutating func failEntry(loadingEntry position: UInt32) -> Reflection {
    if enteredByLaunch { vmcs12Region.isLaunched = false }
    isInL2 = false
    let failure = ExitReasonField(.entryFailureMSRLoading, entryFailure: true)
    return failEntry(failure, qualification: UInt64(position) &+ 1)
  }

  /// A VM entry that failed by the checks on the guest-state area.
  mutating func entryFailed(_ failure: EntryFailure) -> VMXInstructionOutcome {
    let reason = ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)
    var qualification: UInt64 = 0
    if case .guestState(let detail) = failure { qualification = detail.rawValue }
    return .entryFailed(failEntry(reason, qualification: qualification), reason)
  }

  /// A failed VM entry loads the host state, and records only reason and qualification (SDM volume 3, "VM-Entry
  /// Failures During or After Loading Guest State").
  mutating func failEntry(_ reason: ExitReasonField, qualification: UInt64) -> Reflection {
    vmcs12Region.exitReason = reason
    vmcs12Region[.exitQualification] = qualification
    work.memoryWrites &+= 2
    return returnToL1(storing: .none)
  }
}
