import VMX
import X86

/// VM functions of L2, which L0 performs: the processor's own VMFUNC exits.
extension VirtualVMX {
  /// The EPTP that the VMFUNC of L2 asks for, or nil if it causes a VM exit to L1.
  ///
  /// Source: SDM volume 3, "EPTP Switching".
  var eptPointerToSwitchTo: UInt64? {
    let function = registers[.rax] & 0xFFFF_FFFF
    let index = registers[.rcx] & 0xFFFF_FFFF
    let controls = vmcs12Region.effectiveSecondaryControls
    guard controls.contains(.enableVMFunctions), function == 0,
      vmcs12Region.vmFunctionControls.contains(.eptpSwitching), index < 512,
      let pointer = memory.word(at: PhysicalAddress(vmcs12Region[.eptpListAddress]) + index * 8),
      EPTPointer(rawValue: pointer).isValid(
        capability: capabilities.eptAndVPID, physicalWidth: physicalAddressWidth)
    else { return nil }
    return pointer
  }

  /// Gives L2 the EPTP that its VMFUNC asks for, in vmcs12 as in vmcs02.
  mutating func switchEPTP() -> VMXInstructionOutcome {
    work.memoryReads &+= 1
    guard let pointer = eptPointerToSwitchTo else { return .succeeded }
    vmcs12Region[.eptPointer] = pointer
    vmcs12Region[.eptpIndex] = registers[.rcx] & 0xFFFF
    work.memoryWrites &+= 1
    merge.eptPointer = eptPointer02()
    vmcs02[.eptPointer] = merge.eptPointer
    Self.skipInstruction(in: vmcs02)
    work.vmcsReads &+= 5
    work.vmcsWrites &+= 3
    return .succeeded
  }
}
