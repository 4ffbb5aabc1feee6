import Translation
import VMX
import X86

/// The VM exit from L2 to L1, which L0 performs: vmcs02 into vmcs12, vmcs12's host state into vmcs01.
extension VirtualVMX {
  /// Reflects an exit of L2 to L1. The hypervisor then performs the lists, and enters vmcs01.
  ///
  /// `exit` is what ``route(_:)`` gave, or made by the hypervisor for an event that it wants L1 to have, such as
  /// ``externalInterrupt(vector:)``.
  public mutating func reflect(_ exit: ExitInformation) -> Reflection {
    guard isInL2 else { return Reflection() }
    isInL2 = false
    if exit.reason.isEntryFailure {
      if enteredByLaunch { vmcs12Region.isLaunched = false }
      return failEntry(exit.reason, qualification: exit.qualification)
    }
    exit.write(to: vmcs12Region)
    work.vmcsReads &+= ExitInformation.fieldCount
    work.memoryWrites &+= ExitInformation.fieldCount
    saveGuestState()
    drainShadowOfL2()
    return returnToL1(
      storing: MSRList(
        address: vmcs12Region[.exitMSRStoreAddress], count: vmcs12Region[.exitMSRStoreCount]))
  }

  /// The exit that L1 gets for an external interrupt: with the vector, if it acknowledges interrupts on exit.
  public func externalInterrupt(vector: UInt8) -> ExitInformation {
    var exit = ExitInformation(lastExitOf: vmcs02)
    exit.reason = ExitReasonField(.externalInterrupt)
    exit.qualification = 0
    exit.interruptionErrorCode = 0
    exit.interruption =
      vmcs12Region.exitControls.contains(.acknowledgeInterruptOnExit)
      ? InterruptionInformation(vector: vector, kind: .externalInterrupt) : .none
    return exit
  }

  /// Whether an external interrupt for L1 causes a VM exit of L2; else it is delivered to L2 directly.
  public var wantsExternalInterrupts: Bool {
    isInL2 && vmcs12Region.pinBasedControls.contains(.externalInterruptExiting)
  }

  /// Whether an external interrupt that causes a VM exit of L2 is acknowledged by it.
  public var acknowledgesInterrupts: Bool {
    vmcs12Region.exitControls.contains(.acknowledgeInterruptOnExit)
  }

  /// Whether an NMI causes a VM exit of L2; else it is delivered to L2 directly.
  public var wantsNMIs: Bool { isInL2 && vmcs12Region.pinBasedControls.contains(.nmiExiting) }

  /// The exit that L1 gets for the NMI that L2 has exited with.
  public func nonMaskableInterrupt() -> ExitInformation { ExitInformation(lastExitOf: vmcs02) }

  /// The exit that L1 gets instead of the exception that L0's emulation of an instruction has prepared for L2, or nil if
  /// there is none or L1 does not intercept it.
  public mutating func interceptedException() -> ExitInformation? {
    guard isInL2, !vmcs02.idtVectoringInformation.isValid else { return nil }
    let event = vmcs02.entryInterruptionInformation
    work.vmcsReads &+= 1
    guard event.isValid, event.kind == .hardwareException else { return nil }
    vmcs02.exitInterruptionInformation = event
    vmcs02[.exitInterruptionErrorCode] = event.hasErrorCode ? vmcs02[.entryExceptionErrorCode] : 0
    guard wantsException() else { return nil }
    vmcs02.entryInterruptionInformation = .none
    var exit = ExitInformation(
      .exceptionOrNMI,
      qualification: event.vector == ExceptionVector.pageFault.rawValue ? registers.pointee.cr2 : 0)
    exit.interruption = event
    exit.interruptionErrorCode = vmcs02[.exitInterruptionErrorCode]
    return exit
  }

  /// A VMX abort: L1's processor enters the shutdown state. The indicator goes into L1's VMCS region.
  ///
  /// Source: SDM volume 3, "VMX Aborts".
  public mutating func abort(_ cause: VMXAbort) {
    vmcs12Region.abortIndicator = cause.rawValue
    guard let pointer = currentVMCS, let bytes = memory.pointer(to: pointer, count: UInt64(VMCS.size)) else {
      return
    }
    VMCS(region: bytes).abortIndicator = cause.rawValue
    memory.noteWrite(pointer, count: UInt64(VMCS.size))
    work.memoryWrites &+= 1
  }

  /// What failed exits and failed VM entries have in common: L1's state from vmcs12's host state.
  mutating func returnToL1(storing storeMSRs: MSRList) -> Reflection {
    let pdptes = hostPDPTEs()
    loadHostState(pdptes)
    if vpids02.current12 == 0 { forgetLinearMappingsOfL1() }
    fillShadow()
    return Reflection(
      storeMSRs: storeMSRs,
      loadMSRs: MSRList(
        address: vmcs12Region[.exitMSRLoadAddress], count: vmcs12Region[.exitMSRLoadCount]),
      abort: areValid(pdptes) ? nil : .hostPDPTEChecking)
  }
}

// MARK: vmcs02 to vmcs12

extension VirtualVMX {
  /// SDM volume 3, "Saving Guest State".
  mutating func saveGuestState() {
    let exitControls = vmcs12Region.exitControls
    let usesEPT = usesEPT12
    let plan = SavePlan.plan
    plan.always.copy(from: vmcs02, to: vmcs12Region)
    countSave(plan.always.fieldCount, reads: plan.always.fieldCount)
    for number in 0..<plan.conditional.count {
      let row = plan.conditional[number]
      switch row.rule {
      case .always: break
      case .under(let control): guard exitControls.contains(control) else { continue }
      case .ifUsed(let control):
        guard vmcs12Region.effectiveSecondaryControls.contains(control) else { continue }
      case .pdpte: guard usesEPT else { continue }
      case .unchanged: continue
      case .cr0:
        vmcs12Region[.guestCR0] = controlRegister12(.guestCR0, .cr0GuestHostMask, .cr0ReadShadow)
        countSave(1, reads: 3)
        continue
      case .cr4:
        vmcs12Region[.guestCR4] = controlRegister12(.guestCR4, .cr4GuestHostMask, .cr4ReadShadow)
        countSave(1, reads: 3)
        continue
      }
      vmcs12Region[row.field] = vmcs02[row.field]
      countSave(1, reads: 1)
    }
    updateEntryControls()
  }

  mutating func countSave(_ fields: UInt64, reads: UInt64) {
    work.vmcsReads &+= reads
    work.memoryWrites &+= fields
    work.fieldsCopied &+= fields
  }

  /// A VM exit clears the valid bit of the event to inject, and stores the mode of L2 in "IA-32e mode guest".
  mutating func updateEntryControls() {
    let vmcs12 = vmcs12Region
    vmcs12[.entryInterruptionInformation] &= 0x7FFF_FFFF
    work.memoryWrites &+= 1
    guard capabilities.miscellaneous.storesLMA else { return }
    var controls = vmcs12.entryControls
    if vmcs02.entryControls.contains(.ia32eModeGuest) {
      controls.insert(.ia32eModeGuest)
    } else {
      controls.remove(.ia32eModeGuest)
    }
    vmcs12.entryControls = controls
  }

  /// CR0 or CR4 of L2 for vmcs12: the register, but for the bits that L0 alone owns, whose value is in the read shadow.
  func controlRegister12(_ register: VMCSField, _ mask: VMCSField, _ shadow: VMCSField) -> UInt64 {
    let mask01Only = vmcs02[mask] & ~vmcs12Region[mask]
    return vmcs02[shadow] & mask01Only | vmcs02[register] & ~mask01Only
  }
}

// MARK: vmcs12's host state to vmcs01

extension VirtualVMX {
  /// SDM volume 3, "Loading Host State".
  mutating func loadHostState(_ pdptes: (UInt64, UInt64, UInt64, UInt64)) {
    let plan = HostStatePlan.plan
    plan.host.copy(from: vmcs12Region, to: vmcs01)
    plan.constant.copy(from: plan.constantValues, to: vmcs01)
    countHostState(plan.host.fieldCount &+ plan.constant.fieldCount)
    for number in 0..<plan.computed.count {
      let row = plan.computed[number]
      guard let value = value(of: row.source, pdptes) else { continue }
      switch row.field {
      case .guestCR0: setControlRegister(.guestCR0, .cr0GuestHostMask, .cr0ReadShadow, value, processor.cr0)
      case .guestCR4: setControlRegister(.guestCR4, .cr4GuestHostMask, .cr4ReadShadow, value, processor.cr4)
      default: vmcs01[row.field] = value
      }
      countHostState(1)
    }
    finishHostState()
  }

  mutating func countHostState(_ fields: UInt64) {
    work.memoryReads &+= fields
    work.vmcsWrites &+= fields
    work.fieldsCopied &+= fields
  }

  /// What the host state implies beside its fields.
  mutating func finishHostState() {
    var controls = vmcs01.entryControls
    if vmcs12Region.exitControls.contains(.hostAddressSpaceSize) {
      controls.insert(.ia32eModeGuest)
    } else {
      controls.remove(.ia32eModeGuest)
    }
    vmcs01.entryControls = controls
    vmcs01.entryInterruptionInformation = .none
    vmcs01.interruptibilityState = isNMIBlockedAfterExit ? [.blockingByNMI] : []
    work.vmcsReads &+= 1
    work.vmcsWrites &+= 3
  }

  /// Whether NMIs are blocked in L1: by the NMI that caused the exit, or as before it if L2 has no virtual NMIs.
  ///
  /// Source: SDM volume 3, "Updating Non-Register State".
  var isNMIBlockedAfterExit: Bool {
    let reason = vmcs12Region.exitReason
    if reason.isEntryFailure { return vmcs01.interruptibilityState.contains(.blockingByNMI) }
    if reason.basic == .exceptionOrNMI, vmcs12Region.exitInterruptionInformation.kind == .nmi { return true }
    let hasVirtualNMIs = vmcs12Region.pinBasedControls.contains(.virtualNMIs)
    return !hasVirtualNMIs && vmcs02.interruptibilityState.contains(.blockingByNMI)
  }

  /// The value of a field of L1's state, or nil if it stays as it is.
  func value(of source: HostSource, _ pdptes: (UInt64, UInt64, UInt64, UInt64)) -> UInt64? {
    let is64Bit = vmcs12Region.exitControls.contains(.hostAddressSpaceSize)
    switch source {
    case .host(let field): return vmcs12Region[field]
    case .constant(let value): return value
    case .cr0: return hostCR0
    case .cr3: return vmcs12Region[.hostCR3] & ~AddressForm.bitsBeyond(physicalWidth: physicalAddressWidth)
    case .cr4: return hostCR4(is64Bit: is64Bit)
    case .efer: return hostEFER(is64Bit: is64Bit)
    case .pat: return vmcs12Region.exitControls.contains(.loadPAT) ? vmcs12Region[.hostPAT] : patOfL2
    case .codeRights:
      return UInt64(
        SegmentAccessRights(
          type: 11, isCodeOrData: true, isLong: is64Bit, isBig: !is64Bit, isGranular: true
        ).rawValue)
    case .dataRights(let selector): return dataRights(isNull: vmcs12Region[selector] == 0)
    case .pdpte(0): return pdptes.0
    case .pdpte(1): return pdptes.1
    case .pdpte(2): return pdptes.2
    case .pdpte: return pdptes.3
    case .unchanged: return nil
    }
  }

  func dataRights(isNull: Bool) -> UInt64 {
    if isNull { return UInt64(SegmentAccessRights.unusable.rawValue) }
    return UInt64(
      SegmentAccessRights(type: 3, isCodeOrData: true, isBig: true, isGranular: true).rawValue)
  }

  /// CR0: vmcs12's, but for the bits that a VM exit does not change, which are as L2 left them. After a failed VM
  /// entry they are as L1 had them.
  var hostCR0: UInt64 {
    let before =
      vmcs12Region.exitReason.isEntryFailure
      ? controlRegister(.guestCR0, .cr0GuestHostMask, .cr0ReadShadow) : vmcs12Region[.guestCR0]
    return vmcs12Region[.hostCR0] & ~Merge.keptCR0 | before & Merge.keptCR0
  }

  /// CR4: vmcs12's, with PAE in a 64-bit host, and without PCIDE in another.
  func hostCR4(is64Bit: Bool) -> UInt64 {
    let value = vmcs12Region[.hostCR4]
    return is64Bit ? value | CR4.pae.rawValue : value & ~CR4.pcide.rawValue
  }

  /// IA32_EFER: vmcs12's if its VM-exit controls load it, else L2's; LMA and LME as the host address-space size says.
  func hostEFER(is64Bit: Bool) -> UInt64 {
    let loads = vmcs12Region.exitControls.contains(.loadEFER)
    var efer = EFER(rawValue: loads ? vmcs12Region[.hostEFER] : eferOfL2)
    if is64Bit { efer.formUnion([.lma, .lme]) } else { efer.subtract([.lma, .lme]) }
    return efer.rawValue
  }

  /// L2's IA32_EFER and IA32_PAT, which vmcs02 always saves if the processor can; else L1's are unchanged, as they are
  /// if the VM entry failed before it loaded L2's.
  var eferOfL2: UInt64 { hasL2(saved: .saveEFER) ? vmcs02[.guestEFER] : vmcs01[.guestEFER] }
  var patOfL2: UInt64 { hasL2(saved: .savePAT) ? vmcs02[.guestPAT] : vmcs01[.guestPAT] }

  func hasL2(saved control: PrimaryExitControls) -> Bool {
    vmcs12Region.exitReason.basic != .entryFailureInvalidGuestState && vmcs02.exitControls.contains(control)
  }

  /// Sets CR0 or CR4 of L1: what L1 reads, and the register, in which the bits that L0 owns stay as they are.
  mutating func setControlRegister(
    _ register: VMCSField, _ mask: VMCSField, _ shadow: VMCSField, _ value: UInt64, _ fixed: ControlCapability
  ) {
    let owned = vmcs01[mask]
    vmcs01[register] = fixed.adjusted(value & ~owned | vmcs01[register] & owned)
    vmcs01[shadow] = value
    work.vmcsReads &+= 2
    work.vmcsWrites &+= 1
  }

  /// The PDPTEs of an L1 that uses PAE paging; a VM exit loads them through the host's CR3.
  mutating func hostPDPTEs() -> (UInt64, UInt64, UInt64, UInt64) {
    let usesPAE =
      !vmcs12Region.exitControls.contains(.hostAddressSpaceSize)
      && CR4(rawValue: vmcs12Region[.hostCR4]).contains(.pae)
    return usesPAE ? pdptes(at: vmcs12Region[.hostCR3]) : (0, 0, 0, 0)
  }

  /// Whether no PDPTE that is present has a reserved bit set.
  func areValid(_ pdptes: (UInt64, UInt64, UInt64, UInt64)) -> Bool {
    let reserved = 0x1E6 | AddressForm.bitsBeyond(physicalWidth: physicalAddressWidth)
    func isValid(_ entry: UInt64) -> Bool { entry & PagingEntry.present == 0 || entry & reserved == 0 }
    return isValid(pdptes.0) && isValid(pdptes.1) && isValid(pdptes.2) && isValid(pdptes.3)
  }
}
