import Translation
import VMX
import X86

/// INVEPT and INVVPID.
extension VirtualVMX {
  /// SDM volume 3, "INVEPT—Invalidate Translations Derived from EPT".
  mutating func invept() throws(VMXInstructionFailure) {
    guard capabilities.eptAndVPID.contains(.invept) else { throw .invalidOpcode }
    try requireRootOperation()
    guard let type = INVEPTType(rawValue: operandRegister(instructionInformation.secondRegister)),
      capabilities.eptAndVPID.contains(type.capability)
    else { throw .fail(.invalidOperandToInvalidation) }
    let words = try descriptorOperand()
    let descriptor = INVEPTDescriptor(low: words.low, high: words.high)
    switch type {
    case .allContexts: dropComposed(matching: nil)
    case .singleContext:
      let pointer = EPTPointer(rawValue: descriptor.eptp)
      guard pointer.isValid(capability: capabilities.eptAndVPID, physicalWidth: physicalAddressWidth) else {
        throw .fail(.invalidOperandToInvalidation)
      }
      dropComposed(matching: descriptor.eptp)
    }
  }

  /// SDM volume 3, "INVVPID—Invalidate Translations Based on VPID".
  mutating func invvpid() throws(VMXInstructionFailure) {
    guard capabilities.eptAndVPID.contains(.invvpid) else { throw .invalidOpcode }
    try requireRootOperation()
    guard let type = INVVPIDType(rawValue: operandRegister(instructionInformation.secondRegister)),
      capabilities.eptAndVPID.contains(type.capability)
    else { throw .fail(.invalidOperandToInvalidation) }
    let words = try descriptorOperand()
    let descriptor = INVVPIDDescriptor(low: words.low, high: words.high)
    guard !descriptor.hasReservedBits else { throw .fail(.invalidOperandToInvalidation) }
    if type != .allContexts {
      guard descriptor.vpid != 0 else { throw .fail(.invalidOperandToInvalidation) }
    }
    if type == .individualAddress {
      guard AddressForm.isCanonical(descriptor.linearAddress) else {
        throw .fail(.invalidOperandToInvalidation)
      }
    }
    // Only one VPID of L1 has mappings at a time: those of vpid02. Forgetting more than was asked is allowed.
    if type == .allContexts || UInt64(descriptor.vpid) == lastVPID { forgetLinearMappingsOfL2() }
  }

  /// The 128-bit descriptor in the memory operand.
  mutating func descriptorOperand() throws(VMXInstructionFailure) -> (low: UInt64, high: UInt64) {
    do throws(InstructionFault) {
      let linear = try operandAddress(size: 16, .read)
      let low = try read(linear, 8)
      let next = isIn64BitMode ? linear &+ 8 : (linear &+ 8) & 0xFFFF_FFFF
      return (low, try read(next, 8))
    } catch {
      throw .fault(error)
    }
  }

  mutating func forgetLinearMappingsOfL2() {
    if vpid02 != 0 { pendingInvalidations.ofL2 = true }
  }

  mutating func forgetLinearMappingsOfL1() {
    if vpid02 != 0 { pendingInvalidations.ofL1 = true }
  }
}
