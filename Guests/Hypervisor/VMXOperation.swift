import CInstructions
import VMX
import X86

/// Entering and leaving VMX operation.
enum VMXOperation {
  /// Checks that the processor has VMX and that it may be used, and executes VMXON with the page of zeros at `region`;
  /// gives the capabilities.
  static func enter(region: UInt64) -> VMXCapabilities {
    guard CPUIDFeaturesECX(rawValue: cpuid(CPUIDLeaf.features, 0).ecx).contains(.vmx) else {
      fail("this processor has no VMX (CPUID.1:ECX.VMX is 0)")
    }
    enableInFeatureControl()
    let capabilities = VMXCapabilities.ofThisProcessor()
    write_cr0(capabilities.cr0.adjusted(read_cr0()))
    write_cr4(capabilities.cr4.adjusted(read_cr4() | CR4.vmxe.rawValue))

    UnsafeMutablePointer<UInt32>(physical: region).pointee = capabilities.basic.revision
    // VMREAD does not exist before VMXON, so this failure has no error number.
    if vmxon(region) { fail("VMXON: VMfailInvalid") }
    return capabilities
  }

  static func leave() {
    if vmxoff() { vmxFailed("VMXOFF") }
  }

  /// IA32_FEATURE_CONTROL is locked by firmware; where there is none, the guest does it itself.
  private static func enableInFeatureControl() {
    let locked: UInt64 = 1 << 0
    let vmxOutsideSMX: UInt64 = 1 << 2
    let index = ModelSpecificRegister.featureControl.rawValue
    let value = rdmsr(index)
    if value & locked == 0 {
      wrmsr(index, value | locked | vmxOutsideSMX)
    } else if value & vmxOutsideSMX == 0 {
      fail("VMX is disabled (IA32_FEATURE_CONTROL is locked without VMX outside SMX)")
    }
  }
}

extension VMXCapabilities {
  /// What the capability MSRs of this processor say; those that it does not have stay 0.
  static func ofThisProcessor() -> Self {
    func read(_ register: ModelSpecificRegister) -> UInt64 { rdmsr(register.rawValue) }
    var it = Self()
    it.basic = VMXBasicInformation(rawValue: read(.vmxBasic))
    it.pinBased = read(.vmxPinBasedControls)
    it.primaryProcessorBased = read(.vmxProcessorBasedControls)
    it.exit = read(.vmxExitControls)
    it.entry = read(.vmxEntryControls)
    it.cr0Fixed0 = read(.vmxCR0Fixed0)
    it.cr0Fixed1 = read(.vmxCR0Fixed1)
    it.cr4Fixed0 = read(.vmxCR4Fixed0)
    it.cr4Fixed1 = read(.vmxCR4Fixed1)
    if it.basic.hasTrueControls {
      it.truePinBased = read(.vmxTruePinBasedControls)
      it.truePrimaryProcessorBased = read(.vmxTrueProcessorBasedControls)
      it.trueExit = read(.vmxTrueExitControls)
      it.trueEntry = read(.vmxTrueEntryControls)
    }
    if it.hasSecondaryControls { it.secondaryProcessorBased = read(.vmxSecondaryProcessorBasedControls) }
    if it.hasEPTOrVPID { it.eptAndVPID = EPTAndVPIDCapability(rawValue: read(.vmxEPTAndVPIDCapability)) }
    return it
  }
}
