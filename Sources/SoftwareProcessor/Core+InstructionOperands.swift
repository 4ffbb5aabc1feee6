import InstructionDecoder
import X86

// The operands of system instructions, which are executed from their decoded form.
extension Core {
  /// The general-purpose register of a register operand, cut to its size.
  func registerValue(_ operand: Operand, size: UInt8) -> UInt64 {
    cut(self[register: operand.register & 15], to: size)
  }

  /// Writes a general-purpose register: 32-bit writes clear the upper half, smaller ones keep the rest.
  func setRegister(_ number: UInt8, _ value: UInt64, size: UInt8) {
    let number = number & 15
    switch size {
    case 8: self[register: number] = value
    case 4: self[register: number] = value & 0xFFFF_FFFF
    case 2: self[register: number] = self[register: number] & ~0xFFFF | value & 0xFFFF
    default: self[register: number] = self[register: number] & ~0xFF | value & 0xFF
    }
  }

  /// The value of a register or memory operand of `size` bytes.
  func readOperand(
    _ operand: Operand, of instruction: Instruction, size: UInt8
  ) throws(Interruption) -> UInt64 {
    guard operand.kind == .memory else { return registerValue(operand, size: size) }
    return try loadSized(instruction.address.segment, offset(of: instruction), size: size)
  }

  /// Writes a register or memory operand of `size` bytes.
  func writeOperand(
    _ operand: Operand, of instruction: Instruction, _ value: UInt64, size: UInt8
  ) throws(Interruption) {
    guard operand.kind == .memory else { return setRegister(operand.register, value, size: size) }
    try storeSized(value, instruction.address.segment, offset(of: instruction), size: size)
  }

  /// Reads 1, 2, 4 or 8 bytes from a segment with all of its checks.
  func loadSized(
    _ segment: SegmentRegister, _ offset: UInt64, size: UInt8
  ) throws(Interruption) -> UInt64 {
    switch size {
    case 1: UInt64(try loadSegmented(segment, offset, as: UInt8.self))
    case 2: UInt64(try loadSegmented(segment, offset, as: UInt16.self))
    case 4: UInt64(try loadSegmented(segment, offset, as: UInt32.self))
    default: try loadSegmented(segment, offset, as: UInt64.self)
    }
  }

  /// Writes 1, 2, 4 or 8 bytes to a segment with all of its checks.
  func storeSized(
    _ value: UInt64, _ segment: SegmentRegister, _ offset: UInt64, size: UInt8
  ) throws(Interruption) {
    switch size {
    case 1: try storeSegmented(UInt8(truncatingIfNeeded: value), segment, offset)
    case 2: try storeSegmented(UInt16(truncatingIfNeeded: value), segment, offset)
    case 4: try storeSegmented(UInt32(truncatingIfNeeded: value), segment, offset)
    default: try storeSegmented(value, segment, offset)
    }
  }
}
