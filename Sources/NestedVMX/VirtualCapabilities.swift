import VMX
import X86

/// What L1 is told that its processor can do: what L0's processor can, as far as the nested core emulates it.
public enum VirtualCapabilities {
  /// The VMCS revision identifier of vmcs12.
  public static var revision: UInt32 { 0x0000_1012 }

  /// The controls that the nested core emulates, if the processor has them.
  static var pinBased: PinBasedControls {
    [
      .externalInterruptExiting, .nmiExiting, .virtualNMIs, .activatePreemptionTimer,
      .processPostedInterrupts,
    ]
  }

  static var primary: PrimaryProcessorBasedControls {
    PrimaryProcessorBasedControls.all.subtracting([.activateTertiaryControls])
  }

  static var secondary: SecondaryProcessorBasedControls {
    [
      .enableEPT, .descriptorTableExiting, .enableRDTSCP, .enableVPID, .wbinvdExiting, .unrestrictedGuest,
      .virtualizeAPICAccesses, .virtualizeX2APICMode, .apicRegisterVirtualization, .virtualInterruptDelivery,
      .pauseLoopExiting, .rdrandExiting, .rdseedExiting, .enableINVPCID, .enableUserWaitAndPause,
      .enableXSAVES, .vmcsShadowing, .modeBasedExecuteControlForEPT,
      .useTSCScaling, .enableVMFunctions,
    ]
  }

  /// What L0 does itself as it walks ept12, whatever the processor has.
  static var secondaryOfL0: SecondaryProcessorBasedControls { [.enablePML, .eptViolationVE] }

  static var exit: PrimaryExitControls {
    [
      .saveDebugControls, .hostAddressSpaceSize, .acknowledgeInterruptOnExit, .savePAT, .loadPAT, .saveEFER,
      .loadEFER, .savePreemptionTimerValue,
    ]
  }

  static var entry: EntryControls { [.loadDebugControls, .ia32eModeGuest, .loadPAT, .loadEFER] }

  static var eptAndVPID: EPTAndVPIDCapability {
    [
      .executeOnly, .pageWalkLength4, .uncacheablePagingStructures, .writeBackPagingStructures, .pages2MByte,
      .pages1GByte, .invept, .inveptSingleContext, .inveptAllContexts, .accessedAndDirtyFlags, .invvpid,
      .invvpidIndividualAddress, .invvpidSingleContext, .invvpidAllContexts,
      .invvpidSingleContextRetainingGlobals, .advancedExitInformation,
    ]
  }

  /// What of ``eptAndVPID`` is of VPIDs.
  static var vpid: EPTAndVPIDCapability {
    [
      .invvpid, .invvpidIndividualAddress, .invvpidSingleContext, .invvpidAllContexts,
      .invvpidSingleContextRetainingGlobals,
    ]
  }

  /// What ept12 may use whatever the processor has, because L0 walks ept12 itself.
  static var walkedByL0: EPTAndVPIDCapability {
    [
      .pageWalkLength4, .uncacheablePagingStructures, .writeBackPagingStructures, .pages2MByte, .pages1GByte,
      .invept, .inveptSingleContext, .inveptAllContexts, .accessedAndDirtyFlags,
    ]
  }

  /// IA32_VMX_MISC: the bits that pass through; of the activity states, active and HLT only.
  static var miscellaneousPassed: UInt64 { 1 << 30 | 1 << 29 | 1 << 6 | 1 << 5 | 0x1F }

  /// The activity state wait-for-SIPI, in which L0 keeps L2 from running.
  static var waitForSIPI: UInt64 { 1 << 8 }

  /// The number of CR3-target values.
  static var cr3TargetCount: UInt64 { 4 }

  /// The VMX capability MSRs that L1 reads on `processor`, without the secondary controls `withheld`, such as of a model
  /// that has them not.
  public static func offered(
    on processor: VMXCapabilities, without withheld: SecondaryProcessorBasedControls = []
  ) -> VMXCapabilities {
    var offered = VMXCapabilities()
    offered.basic = VMXBasicInformation(revision: revision, hasTrueControls: processor.basic.hasTrueControls)
    offered.pinBased = offer(processor.pinBased, UInt64(pinBased.rawValue))
    offered.primaryProcessorBased = offer(processor.primaryProcessorBased, UInt64(primary.rawValue))
    offered.exit = offer(processor.exit, UInt64(exit.rawValue))
    offered.entry = offer(processor.entry, UInt64(entry.rawValue))
    offered.truePinBased = offer(processor.truePinBased, UInt64(pinBased.rawValue))
    offered.truePrimaryProcessorBased = offer(processor.truePrimaryProcessorBased, UInt64(primary.rawValue))
    offered.trueExit = offer(processor.trueExit, UInt64(exit.rawValue))
    offered.trueEntry = offer(processor.trueEntry, UInt64(entry.rawValue))
    offered.secondaryProcessorBased = offeredSecondary(on: processor)
    offered.secondaryProcessorBased &= ~(UInt64(withheld.rawValue) << 32)
    offered.miscellaneous = VMXMiscellaneousData(
      rawValue: processor.miscellaneous.rawValue & miscellaneousPassed | waitForSIPI
        | cr3TargetCount << 16)
    offered.cr0Fixed0 = processor.cr0Fixed0
    offered.cr0Fixed1 = processor.cr0Fixed1
    offered.cr4Fixed0 = processor.cr4Fixed0
    offered.cr4Fixed1 = processor.cr4Fixed1
    offered.eptAndVPID = offeredEPTAndVPID(on: processor)
    if withheld.contains(.enableEPT) { offered.eptAndVPID.formIntersection(vpid) }
    if offered.allows(SecondaryProcessorBasedControls.enableVMFunctions) {
      offered.vmFunction = VMFunctionControls.eptpSwitching.rawValue
    }
    offered.vmcsEnumeration = highestIndex(on: offered) << 1
    return offered
  }

  /// A capability MSR of two halves: the processor's allowed 1-settings that the nested core emulates, and the allowed
  /// 0-settings, which stay what must be 1.
  static func offer(_ msr: UInt64, _ emulated: UInt64) -> UInt64 {
    let capability = ControlCapability(msr: msr)
    return ControlCapability(
      allowed0: capability.allowed0, allowed1: capability.allowed1 & emulated | capability.allowed0
    ).msr
  }

  static func offeredSecondary(on processor: VMXCapabilities) -> UInt64 {
    var emulated = secondary
    // Whether a fetch was from a user-mode linear address, L0 learns from the advanced information only.
    if !processor.eptAndVPID.contains(.advancedExitInformation) {
      emulated.remove(.modeBasedExecuteControlForEPT)
    }
    let offered = offer(processor.secondaryProcessorBased, UInt64(emulated.rawValue))
    guard processor.allows(SecondaryProcessorBasedControls.enableEPT) else { return offered }
    return offered | UInt64(secondaryOfL0.rawValue) << 32
  }

  static func offeredEPTAndVPID(on processor: VMXCapabilities) -> EPTAndVPIDCapability {
    guard processor.allows(SecondaryProcessorBasedControls.enableEPT) else { return [] }
    var offered = eptAndVPID.intersection(processor.eptAndVPID.union(walkedByL0))
    if !processor.allows(SecondaryProcessorBasedControls.enableVPID) {
      offered.subtract(vpid)
    }
    return offered
  }

  /// The highest index of a field that `capabilities` gives: bits 9:1 of IA32_VMX_VMCS_ENUM.
  static func highestIndex(on capabilities: VMXCapabilities) -> UInt64 {
    var highest: UInt32 = 0
    for position in 0..<VMCSField.count {
      let row = VMCSField.rows[position]
      if row.requirement.isMet(by: capabilities) { highest = max(highest, row.field.index) }
    }
    return UInt64(highest)
  }
}
