import InstructionDecoder
import X86

// Moves of vectors and of their halves and elements.
extension Core {
  func executeVectorMove(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .movdqa, .movaps, .movapd, .movntdqa, .movntdq, .movntps, .movntpd:
      let value = try vector(instruction.operand1, instruction, isAligned: true)
      try setVector(instruction.operand0, instruction, value, isAligned: true)
    case .movd, .movq, .movdqu, .lddqu, .movntq, .movups, .movupd, .movdq2q, .movq2dq:
      let value = try vector(instruction.operand1, instruction, isAligned: false)
      try setVector(instruction.operand0, instruction, value.truncated(instruction.operand1.size))
    case .movss, .movsd: try executeMoveScalar(instruction)
    case .movlps, .movlpd, .movhps, .movhpd, .movhlps, .movlhps: try executeMoveHalf(instruction)
    case .movsldup, .movshdup, .movddup: try executeMoveDuplicate(instruction)
    case .maskmovq, .maskmovdqu: try executeMaskedMove(instruction)
    default: try executeMoveMask(instruction)
    }
  }

  /// MOVSS, MOVSD: from memory the rest becomes zero, from a register it stays, or comes from the first source.
  private func executeMoveScalar(_ instruction: Instruction) throws(Interruption) {
    let isVEX = instruction.prefixes.contains(.vex)
    if instruction.operand0.kind == .memory || instruction.operand1.kind == .memory {
      let value = try vector(instruction.operand1, instruction, isAligned: false)
      return try setVector(instruction.operand0, instruction, value)
    }
    let source = self[vector: isVEX ? instruction.operand2.register : instruction.operand1.register]
    var result = firstSource(instruction)
    if instruction.mnemonic == .movss {
      result.dwords[0] = source.dwords[0]
    } else {
      result.quads[0] = source.quads[0]
    }
    try setWholeVector(instruction.operand0.register, instruction, result)
  }

  /// Writes 128 bits of a register, whatever the operand's size.
  @inline(__always)
  func setWholeVector(
    _ register: UInt8, _ instruction: Instruction, _ value: Vector
  ) throws(Interruption) {
    try setVector(Operand(.vector, size: 16, register: register), instruction, value)
  }

  private func executeMoveHalf(_ instruction: Instruction) throws(Interruption) {
    if instruction.operand0.kind == .memory {
      let isHigh = instruction.mnemonic == .movhps || instruction.mnemonic == .movhpd
      let value = self[vector: instruction.operand1.register].quads[isHigh ? 1 : 0]
      return try setVector(instruction.operand0, instruction, Vector(value))
    }
    let source = try secondSource(instruction, isAligned: false)
    var result = firstSource(instruction)
    switch instruction.mnemonic {
    case .movlps, .movlpd: result.quads[0] = source.quads[0]
    case .movhlps: result.quads[0] = source.quads[1]
    default: result.quads[1] = source.quads[0]
    }
    try setVector(instruction.operand0, instruction, result)
  }

  private func executeMoveDuplicate(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction)
    var result = source
    switch instruction.mnemonic {
    case .movsldup: for index in 0..<8 { result.dwords[index] = source.dwords[index & ~1] }
    case .movshdup: for index in 0..<8 { result.dwords[index] = source.dwords[index | 1] }
    default: for index in 0..<4 { result.quads[index] = source.quads[index & ~1] }
    }
    try setVector(instruction.operand0, instruction, result)
  }

  /// MOVMSKPS, MOVMSKPD, PMOVMSKB: the sign bits.
  private func executeMoveMask(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction).truncated(UInt8(instruction.vectorSize))
    var mask: UInt64 = 0
    switch instruction.mnemonic {
    case .movmskps: for index in 0..<8 { mask |= UInt64(source.dwords[index] &>> 31) &<< UInt64(index) }
    case .movmskpd: for index in 0..<4 { mask |= (source.quads[index] &>> 63) &<< UInt64(index) }
    default: mask = UInt64(source.byteMask)
    }
    writeRegister(instruction.operand0.register, mask, .dword)
  }

  /// MASKMOVQ, MASKMOVDQU: the bytes whose mask is negative, to DS:rDI.
  private func executeMaskedMove(_ instruction: Instruction) throws(Interruption) {
    let value = try vector(instruction.operand0, instruction)
    let mask = try vector(instruction.operand1, instruction)
    let segment = instruction.address.segment
    let start = OperandSize(instruction.addressSize).truncated(self[.rdi])
    let chosen = (0..<instruction.vectorSize).filter { mask.bytes[$0] & 0x80 != 0 }
    func address(_ index: Int) throws(Interruption) -> UInt64 {
      let offset = OperandSize(instruction.addressSize).truncated(start &+ UInt64(index))
      return try linearAddress(segment, offset, count: 1, access: .write)
    }
    for index in chosen { try checkWrite(try address(index), count: 1, stack: segment == .ss) }
    for index in chosen { try store(value.bytes[index], at: try address(index), stack: segment == .ss) }
  }
}

extension Vector {
  /// The sign bit of each byte.
  @inline(__always)
  var byteMask: UInt32 {
    var mask: UInt32 = 0
    for index in 0..<4 {
      // Gathers bit 7 of every byte in the top byte.
      let signs = quads[index] & 0x8080_8080_8080_8080
      let gathered = (signs &>> 7) &* 0x0102_0408_1020_4080
      mask |= UInt32(truncatingIfNeeded: gathered &>> 56) &<< UInt32(truncatingIfNeeded: index &* 8)
    }
    return mask
  }
}

// MARK: - Elements

extension Core {
  /// PINSRx, PEXTRx, INSERTPS, EXTRACTPS, PTEST and VTESTPx.
  func executeElement(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .pinsrb, .pinsrw, .pinsrd: try executeInsert(instruction)
    case .pextrb, .pextrw, .pextrd, .extractps: try executeExtract(instruction)
    case .insertps: try executeInsertSingle(instruction)
    default: try executeVectorTest(instruction)
    }
  }

  private func executeInsert(_ instruction: Instruction) throws(Interruption) {
    let value = try value(of: secondOperand(instruction), instruction)
    var result = firstSource(instruction)
    let index = Int(truncatingIfNeeded: instruction.immediate)
    switch instruction.mnemonic {
    case .pinsrb: result.bytes[index & 15] = UInt8(truncatingIfNeeded: value)
    case .pinsrw:
      let mask = instruction.operand0.kind == .mmx ? 3 : 7
      result.words[index & mask] = UInt16(truncatingIfNeeded: value)
    default:
      if secondOperand(instruction).size == 8 {
        result.quads[index & 1] = value
      } else {
        result.dwords[index & 3] = UInt32(truncatingIfNeeded: value)
      }
    }
    try setVector(instruction.operand0, instruction, result)
  }

  private func executeExtract(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction)
    let index = Int(truncatingIfNeeded: instruction.immediate)
    let value: UInt64
    switch instruction.mnemonic {
    case .pextrb: value = UInt64(source.bytes[index & 15])
    case .pextrw: value = UInt64(source.words[index & (instruction.operand1.kind == .mmx ? 3 : 7)])
    case .pextrd where instruction.operand0.size == 8: value = source.quads[index & 1]
    default: value = UInt64(source.dwords[index & 3])
    }
    try set(instruction.operand0, instruction, value)
  }

  private func executeInsertSingle(_ instruction: Instruction) throws(Interruption) {
    let operand = secondOperand(instruction)
    let source = try vector(operand, instruction)
    let control = Int(truncatingIfNeeded: instruction.immediate)
    let value = source.dwords[operand.kind == .memory ? 0 : control >> 6 & 3]
    var result = firstSource(instruction)
    result.dwords[control >> 4 & 3] = value
    for index in 0..<4 where control >> index & 1 != 0 { result.dwords[index] = 0 }
    try setVector(instruction.operand0, instruction, result)
  }

  /// ZF tells whether no bit is in both, CF whether none is in the second only; VTESTPx looks at sign bits only.
  private func executeVectorTest(_ instruction: Instruction) throws(Interruption) {
    let size = UInt8(instruction.vectorSize)
    let second = try vector(instruction.operand1, instruction).truncated(size)
    let first = self[vector: instruction.operand0.register].truncated(size)
    let signs: UInt64 =
      switch instruction.mnemonic {
      case .ptest: .max
      case .vtestps: 0x8000_0000_8000_0000
      default: 1 << 63
      }
    let both = (first.quads & second.quads) & signs
    let only = (~first.quads & second.quads) & signs
    var bits: UInt64 = 0
    if both == .zero { bits |= StatusFlags.zf }
    if only == .zero { bits |= StatusFlags.cf }
    flags.pointee.value = bits
  }
}
