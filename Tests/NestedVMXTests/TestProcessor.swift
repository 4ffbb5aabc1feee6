import VMX
import X86

/// The capabilities of the processor in these tests: all that the nested core can use, with the default1 settings of
/// the SDM's appendix "VMX Capability Reporting Facility".
enum TestProcessor {
  static var capabilities: VMXCapabilities {
    var value = VMXCapabilities()
    value.basic = VMXBasicInformation(revision: 0x777)
    value.pinBased = msr(0x16, 0xFF)
    value.truePinBased = msr(0x16, 0xFF)
    value.primaryProcessorBased = msr(0x0401_E172, 0xFFFF_FFFF)
    value.truePrimaryProcessorBased = msr(0x0400_6172, 0xFFFF_FFFF)
    value.secondaryProcessorBased = msr(0, 0xFFFF_FFFF)
    value.exit = msr(0x0003_6DFF, 0x7FFF_FFFF)
    value.trueExit = msr(0x0003_6DFB, 0x7FFF_FFFF)
    value.entry = msr(0x11FF, 0x0001_FFFF)
    value.trueEntry = msr(0x11FB, 0x0001_FFFF)
    value.miscellaneous = VMXMiscellaneousData(rawValue: 1 << 30 | 1 << 29 | 4 << 16 | 0x1C0 | 0x20 | 5)
    value.cr0Fixed0 = 0x8000_0021
    value.cr0Fixed1 = 0xFFFF_FFFF
    value.cr4Fixed0 = CR4.vmxe.rawValue
    value.cr4Fixed1 = 0x003F_FFFF
    value.eptAndVPID = [
      .executeOnly, .pageWalkLength4, .uncacheablePagingStructures, .writeBackPagingStructures, .pages2MByte,
      .pages1GByte, .invept, .inveptSingleContext, .inveptAllContexts, .accessedAndDirtyFlags, .invvpid,
      .invvpidIndividualAddress, .invvpidSingleContext, .invvpidAllContexts,
      .invvpidSingleContextRetainingGlobals, .advancedExitInformation,
    ]
    return value
  }

  static func msr(_ allowed0: UInt64, _ allowed1: UInt64) -> UInt64 { allowed1 << 32 | allowed0 }
}
