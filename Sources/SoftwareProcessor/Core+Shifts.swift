import InstructionDecoder
import X86

extension Core {
  /// ROL, ROR, RCL, RCR, SHL, SHR, SAL and SAR.
  func executeShift(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let destination = try place(of: instruction.operand0, instruction, .write)
    let count = try value(of: instruction.operand1, instruction) & (size == .qword ? 63 : 31)
    let old = try value(at: destination)
    // A 32-bit register is zero-extended even by a count of zero.
    let new = count == 0 ? old : shifted(instruction.mnemonic, old, by: count, size)
    try set(destination, new)
  }

  /// The result of a shift or rotate by a masked count that is not zero; sets the flags.
  func shifted(_ mnemonic: Mnemonic, _ value: UInt64, by count: UInt64, _ size: OperandSize) -> UInt64 {
    switch mnemonic {
    case .rol: flags.pointee.rotateLeft(value, by: count, size)
    case .ror: flags.pointee.rotateRight(value, by: count, size)
    case .rcl: flags.pointee.rotateLeftThroughCarry(value, by: count, size)
    case .rcr: flags.pointee.rotateRightThroughCarry(value, by: count, size)
    case .shr: flags.pointee.shiftRight(value, by: count, size)
    case .sar: flags.pointee.shiftRightArithmetic(value, by: count, size)
    default: flags.pointee.shiftLeft(value, by: count, size)
    }
  }

  /// SHLD and SHRD. For words, a count above 16 is undefined; the bits then come from the destination again.
  func executeDoubleShift(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let destination = try place(of: instruction.operand0, instruction, .write)
    let source = try value(of: instruction.operand1, instruction)
    let count = try value(of: instruction.operand2, instruction) & (size == .qword ? 63 : 31)
    let old = try value(at: destination)
    guard count != 0 else { return try set(destination, old) }
    let isLeft = instruction.mnemonic == .shld
    let new = isLeft ? joinedLeft(old, source, count, size) : joinedRight(old, source, count, size)
    let carry = isLeft ? old &>> (size.bits &- count) & 1 : old &>> (count &- 1) & 1
    try set(destination, new)
    let overflow = (old ^ new) & size.signBit != 0 ? StatusFlags.of : 0
    flags.pointee.set(new, size, bits: carry | overflow)
  }

  private func joinedLeft(_ old: UInt64, _ source: UInt64, _ count: UInt64, _ size: OperandSize) -> UInt64 {
    if size != .word { return size.truncated(old &<< count | source &>> (size.bits &- count)) }
    let joined = old &<< 32 | source &<< 16 | old
    return joined &>> (32 &- count) & 0xFFFF
  }

  private func joinedRight(_ old: UInt64, _ source: UInt64, _ count: UInt64, _ size: OperandSize) -> UInt64 {
    if size != .word { return size.truncated(old &>> count | source &<< (size.bits &- count)) }
    return (old &<< 32 | source &<< 16 | old) &>> count & 0xFFFF
  }

  /// RORX, SARX, SHLX and SHRX: no flags.
  func executeShiftWithoutFlags(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    let count = try value(of: instruction.operand2, instruction) & (size == .qword ? 63 : 31)
    let result: UInt64 =
      switch instruction.mnemonic {
      case .rorx: count == 0 ? source : source &>> count | source &<< (size.bits &- count)
      case .sarx: UInt64(bitPattern: Int64(bitPattern: size.extended(source)) &>> Int64(count))
      case .shlx: source &<< count
      default: source &>> count
      }
    writeRegister(instruction.operand0.register, size.truncated(result), size)
  }
}
