import Translation
import VMX
import X86

/// VMREAD and VMWRITE.
extension VirtualVMX {
  /// SDM volume 3, "VMREAD—Read Field from Virtual-Machine Control Structure".
  mutating func vmread() throws(VMXInstructionFailure) {
    try requireRootOperation()
    guard currentVMCS != nil else { throw .invalid }
    let field = try fieldOperand()
    work.memoryReads &+= 1
    let value = field.isHighAccess ? vmcs12Region[field.full] >> 32 : vmcs12Region[field.full]
    try storeDestination(value)
  }

  /// SDM volume 3, "VMWRITE—Write Field to Virtual-Machine Control Structure".
  mutating func vmwrite() throws(VMXInstructionFailure) {
    try requireRootOperation()
    guard currentVMCS != nil else { throw .invalid }
    let value = try sourceOperand()
    let field = try fieldOperand()
    guard field.area != .readOnlyData || capabilities.miscellaneous.allowsWritingReadOnlyFields else {
      throw .fail(.vmwriteReadOnlyComponent)
    }
    // A field longer than the operand has its high bits cleared, so that the two halves are written low one first.
    let whole = field.full
    if field.isHighAccess {
      write(vmcs12Region[whole] & 0xFFFF_FFFF | value << 32, toVMCS12: whole)
    } else {
      write(value, toVMCS12: whole)
    }
  }

  /// The field whose encoding is in the register operand: one that vmcs12 has.
  mutating func fieldOperand() throws(VMXInstructionFailure) -> VMCSField {
    let operand = operandRegister(instructionInformation.secondRegister)
    guard let field = VMCSField(operand: operand), hasField(field) else { throw .fail(.unsupportedComponent) }
    return field
  }

  /// Whether vmcs12 has `field`: L1's capabilities give it, and vmcs02 has a rule for it.
  public func hasField(_ field: VMCSField) -> Bool { field.exists(on: capabilities) }

  /// The other operand of VMWRITE: a register, or memory of the operand size.
  mutating func sourceOperand() throws(VMXInstructionFailure) -> UInt64 {
    let information = instructionInformation
    if information.isRegister { return operandRegister(information.register) }
    do throws(InstructionFault) {
      return try read(try operandAddress(size: operandSize, .read), operandSize)
    } catch {
      throw .fault(error)
    }
  }

  /// Stores VMREAD's result: zero-extended to 64 bits, or cut to 32 outside 64-bit mode.
  mutating func storeDestination(_ value: UInt64) throws(VMXInstructionFailure) {
    let information = instructionInformation
    guard !information.isRegister else {
      let result = isIn64BitMode ? value : value & 0xFFFF_FFFF
      if information.register == .rsp {
        vmcs01[.guestRSP] = result
        work.vmcsWrites &+= 1
      } else {
        registers[information.register] = result
      }
      return
    }
    do throws(InstructionFault) {
      try write(value, try operandAddress(size: operandSize, .write), operandSize)
    } catch {
      throw .fault(error)
    }
  }

  /// The operand size in bytes: 8 in 64-bit mode, else 4.
  var operandSize: UInt64 { isIn64BitMode ? 8 : 4 }

  /// A register operand: 32 bits of it outside 64-bit mode.
  func operandRegister(_ operand: GeneralRegister) -> UInt64 {
    let value = register(operand, of: vmcs01)
    return isIn64BitMode ? value : value & 0xFFFF_FFFF
  }

  /// Writes a field of vmcs12, and of the shadow VMCS if L1 reads it there.
  mutating func write(_ value: UInt64, toVMCS12 field: VMCSField) {
    vmcs12Region[field] = value
    work.memoryWrites &+= 1
    guard isShadowing, isReadInShadow(field) else { return }
    shadow[field] = value
    switch policy.vmcsAccess.synchronisation {
    case .none: return
    case .shadowVMCS: work.vmcsWrites &+= 1
    case .cleanFields: work.memoryWrites &+= 1
    }
    work.fieldsCopied &+= 1
    sync.fieldsToShadow &+= 1
  }
}
