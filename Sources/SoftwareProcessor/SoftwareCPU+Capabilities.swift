import VMX
import X86

extension SoftwareCPU {
  /// The VMX-preemption timer counts down at the rate of the TSC divided by 2 to this power: at the rate of the TSC, for
  /// where an instruction is one cycle a slower timer would see nothing of a short stay in the guest.
  static var preemptionTimerShift: UInt64 { 0 }

  /// The greatest number of entries in an MSR list.
  static var greatestMSRListCount: UInt64 { 512 }

  /// What the processor can do: every control here is carried out, and no other.
  package static let capabilities = makeCapabilities()

  private static func makeCapabilities() -> VMXCapabilities {
    var value = VMXCapabilities()
    value.basic = VMXBasicInformation(revision: 1)
    writeControls(&value)
    // HLT and shutdown as activity states, 4 CR3 targets, VMWRITE to every field, injection with length 0.
    value.miscellaneous = VMXMiscellaneousData(
      rawValue: preemptionTimerShift | 1 << 5 | 1 << 6 | 1 << 7 | 4 << 16 | 1 << 29 | 1 << 30)
    value.cr0Fixed0 = CR0([.pe, .ne, .pg]).rawValue
    value.cr0Fixed1 = 0xFFFF_FFFF
    value.cr4Fixed0 = CR4.vmxe.rawValue
    value.cr4Fixed1 = implementedCR4.rawValue
    value.eptAndVPID = [
      .executeOnly, .pageWalkLength4, .uncacheablePagingStructures, .writeBackPagingStructures,
      .pages2MByte, .pages1GByte, .invept, .accessedAndDirtyFlags, .advancedExitInformation,
      .inveptSingleContext,
      .inveptAllContexts, .invvpid, .invvpidIndividualAddress, .invvpidSingleContext,
      .invvpidAllContexts, .invvpidSingleContextRetainingGlobals,
    ]
    value.vmcsEnumeration = highestIndex(value) << 1
    return value
  }

  private static func writeControls(_ value: inout VMXCapabilities) {
    let pin: PinBasedControls = [
      .externalInterruptExiting, .nmiExiting, .virtualNMIs, .activatePreemptionTimer,
      .processPostedInterrupts,
    ]
    let primary: PrimaryProcessorBasedControls = [
      .interruptWindowExiting, .useTSCOffsetting, .hltExiting, .invlpgExiting, .mwaitExiting, .rdpmcExiting,
      .rdtscExiting, .cr3LoadExiting, .cr3StoreExiting, .cr8LoadExiting, .cr8StoreExiting,
      .useTPRShadow, .nmiWindowExiting, .movDRExiting, .unconditionalIOExiting, .useIOBitmaps,
      .monitorTrapFlag,
      .useMSRBitmaps, .monitorExiting, .pauseExiting, .activateSecondaryControls,
    ]
    let secondary: SecondaryProcessorBasedControls = [
      .enableEPT, .descriptorTableExiting, .enableRDTSCP, .enableVPID, .wbinvdExiting, .unrestrictedGuest,
      .virtualizeAPICAccesses, .virtualizeX2APICMode, .apicRegisterVirtualization, .virtualInterruptDelivery,
      .rdrandExiting, .enableINVPCID, .vmcsShadowing, .rdseedExiting, .enableXSAVES,
      .modeBasedExecuteControlForEPT, .useTSCScaling, .enableVMFunctions, .pauseLoopExiting,
      .enableUserWaitAndPause,
    ]
    let exit: PrimaryExitControls = [
      .saveDebugControls, .hostAddressSpaceSize, .acknowledgeInterruptOnExit, .savePAT, .loadPAT,
      .saveEFER, .loadEFER, .savePreemptionTimerValue,
    ]
    let entry: EntryControls = [.loadDebugControls, .ia32eModeGuest, .loadPAT, .loadEFER]
    // The default1 class: what must be 1 by the old MSRs, and by the TRUE ones (SDM volume 3, "VMX Capability
    // Reporting Facility").
    value.pinBased = capability(0x16, pin.rawValue)
    value.truePinBased = value.pinBased
    value.primaryProcessorBased = capability(0x0401_E172, primary.rawValue)
    value.truePrimaryProcessorBased = capability(0x0400_6172, primary.rawValue)
    value.secondaryProcessorBased = capability(0, secondary.rawValue)
    value.exit = capability(0x0003_6DFF, exit.rawValue)
    value.trueExit = capability(0x0003_6DFB, exit.rawValue)
    value.entry = capability(0x0000_11FF, entry.rawValue)
    value.trueEntry = capability(0x0000_11FB, entry.rawValue)
  }

  private static func capability(_ default1: UInt64, _ allowed: UInt32) -> UInt64 {
    ControlCapability(allowed0: default1, allowed1: default1 | UInt64(allowed)).msr
  }

  /// The bits of CR4 that are not reserved on this processor.
  private static var implementedCR4: CR4 {
    [
      .vme, .pvi, .tsd, .de, .pse, .pae, .mce, .pge, .pce, .osfxsr, .osxmmexcpt, .umip, .vmxe, .fsgsbase,
      .pcide,
      .osxsave,
      .smep, .smap,
    ]
  }

  /// The highest index of a field of the VMCS that the capabilities give.
  private static func highestIndex(_ value: VMXCapabilities) -> UInt64 {
    var highest: UInt32 = 0
    for position in 0..<VMCSField.count {
      let row = VMCSField.rows[position]
      if row.requirement.isMet(by: value) { highest = max(highest, row.field.index) }
    }
    return UInt64(highest)
  }
}
