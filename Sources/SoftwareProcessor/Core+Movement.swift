import InstructionDecoder
import X86

extension Core {
  /// MOV, MOVNTI, MOVDIRI, MOVZX and moves of a segment register's selector.
  func executeMove(_ instruction: borrowing Instruction) throws(Interruption) {
    try set(instruction.operand0, instruction, try value(of: instruction.operand1, instruction))
  }

  /// MOVDIR64B: 64 bytes, wherever they are, go to a multiple of 64 in ES, all or none.
  ///
  /// Source: SDM volume 2, "MOVDIR64B—Move 64 Bytes as Direct Store".
  func executeMoveDirect64(_ instruction: borrowing Instruction) throws(Interruption) {
    let segment = instruction.address.segment
    let target = OperandSize(instruction.addressSize).truncated(
      self[register: instruction.operand0.register])
    let source = try linearAddress(segment, offset(of: instruction), count: 64, access: .read)
    let destination = try linearAddress(.es, target, count: 64, access: .write)
    guard destination & 63 == 0 else { throw raise(.generalProtection) }
    var words = InlineArray<8, UInt64>(repeating: 0)
    for index in 0..<8 {
      words[index] = try load(source &+ UInt64(index) &* 8, as: UInt64.self, stack: segment == .ss)
    }
    for index in 0..<8 { try store(words[index], at: destination &+ UInt64(index) &* 8) }
  }

  /// MOVSX and MOVSXD.
  func executeMoveSigned(_ instruction: borrowing Instruction) throws(Interruption) {
    let source = try value(of: instruction.operand1, instruction)
    try set(instruction.operand0, instruction, OperandSize(instruction.operand1.size).extended(source))
  }

  /// CMOVcc: the source is read, and a 32-bit destination zero-extended, whatever the condition.
  func executeConditionalMove(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    let register = instruction.operand0.register
    let holds = flags.pointee.holds(instruction.condition)
    writeRegister(register, holds ? source : self[register: register], size)
  }

  /// MOVBE.
  func executeMoveSwapped(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    try set(instruction.operand0, instruction, source.byteSwapped &>> (64 &- size.bits))
  }

  /// BSWAP; of a word it is undefined, and gives zero as processors do.
  func executeByteSwap(_ instruction: borrowing Instruction) {
    let size = OperandSize(instruction.operand0.size)
    let register = instruction.operand0.register
    let swapped = readRegister(register, size).byteSwapped &>> (64 &- size.bits)
    writeRegister(register, size == .word ? 0 : swapped, size)
  }

  /// XLAT: AL = the byte at rBX + AL.
  func executeTranslateByte(_ instruction: borrowing Instruction) throws(Interruption) {
    let offset = OperandSize(instruction.addressSize).truncated(self[.rbx] &+ (self[.rax] & 0xFF))
    let value = try loadSegmented(instruction.address.segment, offset, as: UInt8.self)
    writeRegister(0, UInt64(value), .byte)
  }

  /// BOUND.
  func executeBound(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let segment = instruction.address.segment
    let start = offset(of: instruction)
    let linear = try linearAddress(segment, start, count: Int(size.bytes) &* 2, access: .read)
    let lower = Int64(bitPattern: size.extended(try load(linear, size)))
    let upper = Int64(bitPattern: size.extended(try load(linear &+ UInt64(size.bytes), size)))
    let index = Int64(bitPattern: size.extended(self[register: instruction.operand0.register]))
    guard index >= lower, index <= upper else { throw raise(.boundRangeExceeded) }
  }

  /// LAHF.
  func executeLoadFlags() {
    self[.rax] = self[.rax] & ~0xFF00 | (rflags & 0xFF) &<< 8
  }

  /// SAHF.
  func executeStoreFlags() {
    flags.pointee.replace(StatusFlags.all & 0xFF, with: self[.rax] &>> 8)
  }
}
