import EntryChecks
import VMX
import X86

/// A VMCS that passes every check, with nearly every control on, so that most checks fail by one change.
package final class EntryMachine {
  package let vmcs = VMCS.allocate()
  package var environment: EntryEnvironment
  /// Physical memory by 8-byte aligned address.
  package var memory: [UInt64: UInt64] = [:]

  package static let revision: UInt32 = 0x1234
  package static let linkedVMCS: UInt64 = 0x20_3000
  package static let virtualAPICPage: UInt64 = 0x20_5000

  /// A machine on a processor of `capabilities`, without the controls that it lacks.
  package init(capabilities: VMXCapabilities = EntryMachine.capabilities, definedPerfGlobalCtrl: UInt64 = 0xF)
  {
    environment = EntryEnvironment(
      capabilities: capabilities, physicalWidth: 46, definedPerfGlobalCtrl: definedPerfGlobalCtrl)
    memory[Self.linkedVMCS] = revision | 1 << 31
    memory[Self.virtualAPICPage + 0x80] = 0x40
    setControls()
    setHost()
    setGuest()
    withholdWhatIsNotOffered()
  }

  deinit { vmcs.deallocate() }

  /// The revision identifier of the processor's VMCSs.
  package var revision: UInt64 { UInt64(environment.capabilities.basic.revision) }

  package var inspection: EntryInspection {
    let memory = memory
    return EntryInspection(vmcs: vmcs, environment: environment) { memory[$0] }
  }

  /// The names of the violated checks.
  package var violations: [String] {
    var names: [String] = []
    inspection.forEachViolation { names.append($0.check.name.description) }
    return names
  }

  /// Every control of the SDM may be 1; the default1 controls that the TRUE MSRs do not free must be 1.
  package static var capabilities: VMXCapabilities {
    var it = VMXCapabilities()
    it.basic = VMXBasicInformation(revision: revision)
    func msr(_ required: UInt32, _ allowed: UInt32) -> UInt64 {
      UInt64(required | allowed) << 32 | UInt64(required)
    }
    it.truePinBased = msr(0x16, PinBasedControls.all.rawValue)
    it.truePrimaryProcessorBased = msr(0x0400_6172, PrimaryProcessorBasedControls.all.rawValue)
    it.trueExit = msr(0x0003_6DFB, PrimaryExitControls.all.rawValue)
    it.trueEntry = msr(0x11FB, EntryControls.all.rawValue)
    it.secondaryProcessorBased = msr(0, SecondaryProcessorBasedControls.all.rawValue)
    it.tertiaryProcessorBased = TertiaryProcessorBasedControls.all.rawValue
    it.secondaryExit = SecondaryExitControls.all.rawValue
    it.vmFunction = 1
    // HLT, shutdown and wait-for-SIPI; 4 CR3 targets.
    it.miscellaneous = VMXMiscellaneousData(rawValue: 7 << 6 | 4 << 16)
    it.eptAndVPID = [.pageWalkLength4, .writeBackPagingStructures, .invept, .invvpid]
    it.cr0Fixed0 = 0x8000_0021
    it.cr0Fixed1 = 0xFFFF_FFFF
    it.cr4Fixed0 = 0x2000
    it.cr4Fixed1 = 0x01F7_FFFF
    return it
  }

  private func setControls() {
    let all = environment.capabilities
    vmcs.pinBasedControls = all.adjusted([
      .externalInterruptExiting, .nmiExiting, .virtualNMIs, .activatePreemptionTimer,
      .processPostedInterrupts,
    ])
    vmcs.primaryProcessorBasedControls = all.adjusted([
      .useTPRShadow, .useIOBitmaps, .useMSRBitmaps, .activateSecondaryControls, .activateTertiaryControls,
    ])
    vmcs.secondaryProcessorBasedControls = [
      .virtualizeAPICAccesses, .enableEPT, .enableVPID, .virtualInterruptDelivery, .enableVMFunctions,
      .vmcsShadowing, .enablePML, .eptViolationVE, .pasidTranslation, .subPageWritePermissionsForEPT,
      .useTSCScaling,
    ]
    vmcs.tertiaryProcessorBasedControls = [.enableHLAT, .ipiVirtualization]
    vmcs.vmFunctionControls = .eptpSwitching
    vmcs.exitControls = all.adjusted([
      .hostAddressSpaceSize, .acknowledgeInterruptOnExit, .loadPerfGlobalCtrl, .loadPAT, .loadEFER,
      .loadCETState,
      .loadPKRS, .savePreemptionTimerValue, .activateSecondaryControls,
    ])
    vmcs.entryControls = all.adjusted([
      .loadDebugControls, .ia32eModeGuest, .loadPerfGlobalCtrl, .loadPAT, .loadEFER, .loadBndcfgs, .loadUINV,
      .loadCETState, .loadPKRS,
    ])
    vmcs[.virtualAPICAddress] = Self.virtualAPICPage
    vmcs[.vpid] = 1
    vmcs[.eptPointer] = EPTPointer(root: 0x1000).rawValue
    vmcs[.tscMultiplier] = 1 << 48
    for count in [VMCSField.exitMSRStoreCount, .exitMSRLoadCount, .entryMSRLoadCount] { vmcs[count] = 2 }
  }

  private func setHost() {
    vmcs[.hostCR0] = 0x8001_0033
    vmcs[.hostCR4] = 0x0080_2020
    vmcs[.hostPAT] = MemoryType.initialPAT
    vmcs[.hostEFER] = 0xD01
    vmcs[.hostCSSelector] = 8
    vmcs[.hostSSSelector] = 16
    vmcs[.hostTRSelector] = 24
  }

  private func setGuest() {
    vmcs[.guestCR0] = 0x8001_0033
    vmcs[.guestCR4] = 0x0080_2020
    vmcs[.guestPAT] = MemoryType.initialPAT
    vmcs[.guestEFER] = 0xD01
    vmcs[.guestRFLAGS] = 0x202
    vmcs[.vmcsLinkPointer] = Self.linkedVMCS
    set(.cs, selector: 8, rights: 0xA09B, limit: 0xFFFF_FFFF)
    for segment in [GuestSegment.ss, .ds, .es, .fs, .gs] {
      set(segment, selector: 16, rights: 0xC093, limit: 0xFFFF_FFFF)
    }
    set(.ldtr, selector: 32, rights: 0x82, limit: 0xFFF)
    set(.tr, selector: 24, rights: 0x8B, limit: 0x67)
  }

  /// Takes back the settings that the processor does not allow.
  private func withholdWhatIsNotOffered() {
    let offered = environment.capabilities
    for kind in ControlWordKind.allCases { vmcs[kind.field] &= offered.capability(of: kind).allowed1 }
    for register in [VMCSField.hostCR4, .guestCR4] { vmcs[register] &= offered.cr4Fixed1 }
    if !vmcs.secondaryProcessorBasedControls.contains(.vmcsShadowing) { memory[Self.linkedVMCS] = revision }
  }

  package func set(_ segment: GuestSegment, selector: UInt64, rights: UInt64, limit: UInt64, base: UInt64 = 0)
  {
    vmcs[segment.selectorField] = selector
    vmcs[segment.accessRightsField] = rights
    vmcs[segment.limitField] = limit
    vmcs[segment.baseField] = base
  }

  // MARK: Other machines that pass every check

  /// The guest uses PAE paging in protected mode, outside IA-32e mode.
  package func leaveIA32eModeInGuest() {
    vmcs.entryControls.remove(.ia32eModeGuest)
    vmcs[.guestEFER] = 0
    vmcs[.guestCSAccessRights] = 0xC09B
  }

  /// The guest is in virtual-8086 mode.
  package func enterVirtual8086Mode() {
    leaveIA32eModeInGuest()
    vmcs[.guestRFLAGS] |= 1 << 17
    for segment in [GuestSegment.cs, .ss, .ds, .es, .fs, .gs] {
      set(segment, selector: 0x1230, rights: 0xF3, limit: 0xFFFF, base: 0x12300)
    }
  }

  /// The guest is at privilege level 3.
  package func enterUserMode() {
    set(.cs, selector: 0x1B, rights: 0xA0FB, limit: 0xFFFF_FFFF)
    set(.ss, selector: 0x23, rights: 0xC0F3, limit: 0xFFFF_FFFF)
  }

  /// The guest is in real mode, unrestricted.
  package func enterRealMode() {
    leaveIA32eModeInGuest()
    vmcs.secondaryProcessorBasedControls.insert(.unrestrictedGuest)
    vmcs[.guestCR0] = 0x1_0030
  }

  /// Neither host nor guest is in IA-32e mode.
  package func leaveIA32eMode() {
    leaveIA32eModeInGuest()
    environment.isInIA32eMode = false
    vmcs.exitControls.remove(.hostAddressSpaceSize)
    vmcs[.hostEFER] = 0
  }

  /// Nothing that needs EPT is on but EPT itself.
  package func needEPTForNothing() {
    vmcs.secondaryProcessorBasedControls.subtract([
      .enablePML, .subPageWritePermissionsForEPT, .unrestrictedGuest,
    ])
    vmcs.tertiaryProcessorBasedControls.remove(.enableHLAT)
    vmcs.vmFunctionControls = []
  }

  /// Nothing that needs the TPR shadow is on but the shadow itself.
  package func needTPRShadowForNothing() {
    vmcs.pinBasedControls.remove(.processPostedInterrupts)
    vmcs.secondaryProcessorBasedControls.subtract([.virtualizeAPICAccesses, .virtualInterruptDelivery])
    vmcs.tertiaryProcessorBasedControls.remove(.ipiVirtualization)
  }

  /// VM entry comes from SMM and goes back to it.
  package func enterSMM() {
    environment.isInSMM = true
    vmcs.entryControls.insert(.entryToSMM)
    vmcs[.guestInterruptibilityState] = 4
  }

  /// Injects an event with the raw interruption information `event` and the length 2.
  package func inject(_ event: UInt64) {
    vmcs[.entryInterruptionInformation] = event
    vmcs[.entryInstructionLength] = 2
  }
}
