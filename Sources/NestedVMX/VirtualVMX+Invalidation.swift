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
    forgetLinearMappings(type, descriptor)
  }

  /// Forgets what INVVPID of `type` names: mappings of VPIDs whose slot L0 has given to another are forgotten already, and
  /// there are none for VPID 0000H. The processor may keep global translations or not (SDM volume 3, "Operations that
  /// Invalidate Cached Mappings"), and L0 does not.
  mutating func forgetLinearMappings(_ type: INVVPIDType, _ descriptor: INVVPIDDescriptor) {
    guard hasVPIDs02 else { return }
    if type == .allContexts {
      pendingInvalidations.vpids |= vpids02.withVPID
      return
    }
    guard let slot = vpids02.slot(of: descriptor.vpid) else { return }
    if type == .individualAddress, pendingInvalidations.address == nil {
      pendingInvalidations.address = (slot, descriptor.linearAddress)
    } else {
      pendingInvalidations.vpids |= 1 << UInt32(slot)
    }
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
    if hasVPIDs02 { pendingInvalidations.vpids |= 1 << UInt32(vpids02.current) }
  }

  mutating func forgetLinearMappingsOfL1() {
    if hasVPIDs02 { pendingInvalidations.ofL1 = true }
  }
}
