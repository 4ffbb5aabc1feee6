import InstructionDecoder
import X86

// The x87 instructions that move the FPU's control, status and environment.
//
// Source: SDM volume 1, "Saving the x87 FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE"; volume 2 at each instruction.
extension Core {
  func executeX87Control(_ instruction: borrowing Instruction) throws(Interruption) {
    let state = extendedState
    switch instruction.mnemonic {
    case .fninit: x87.initialize()
    case .fnclex:
      state.pointee.statusWord &=
        X87Unit.Status.conditions | X87Unit.Status.top
    case .fnstcw:
      try set(instruction.operand0, instruction, UInt64(state.pointee.controlWord))
    case .fnstsw:
      try set(instruction.operand0, instruction, UInt64(state.pointee.statusWord))
    case .fldcw:
      x87.setControlWord(UInt16(truncatingIfNeeded: try value(of: instruction.operand0, instruction)))
    case .fnstenv: try storeEnvironment(instruction)
    case .fldenv: try loadEnvironment(instruction)
    case .fnsave: try saveState(instruction)
    default: try restoreState(instruction)
    }
  }

  // MARK: FNSTENV, FLDENV, FNSAVE, FRSTOR

  private func storeEnvironment(_ instruction: borrowing Instruction) throws(Interruption) {
    let format = EnvironmentFormat(instruction, isReal: cpu.pointee.mode.contains(.real))
    let area = try area(of: instruction, count: Int(format.size), access: .write)
    try area.checkWrite(0, count: Int(format.size))
    try store(environment(format), format, to: area)
    // Everything is masked until the handler has looked.
    extendedState.pointee.controlWord |= X87Unit.Status.exceptions
    x87.updateSummary()
  }

  private func loadEnvironment(_ instruction: borrowing Instruction) throws(Interruption) {
    let format = EnvironmentFormat(instruction, isReal: cpu.pointee.mode.contains(.real))
    let area = try area(of: instruction, count: Int(format.size), access: .read)
    setEnvironment(try load(format, from: area), format)
  }

  private func saveState(_ instruction: borrowing Instruction) throws(Interruption) {
    let format = EnvironmentFormat(instruction, isReal: cpu.pointee.mode.contains(.real))
    let size = format.size &+ 80
    let area = try area(of: instruction, count: Int(size), access: .write)
    try area.checkWrite(0, count: Int(size))
    try store(environment(format), format, to: area)
    for index in UInt8(0)..<8 { try area.store(x87[index], at: format.size &+ UInt64(index) &* 10) }
    x87.initialize()
  }

  private func restoreState(_ instruction: borrowing Instruction) throws(Interruption) {
    let format = EnvironmentFormat(instruction, isReal: cpu.pointee.mode.contains(.real))
    let size = format.size &+ 80
    let area = try area(of: instruction, count: Int(size), access: .read)
    try area.checkRead(count: size)
    setEnvironment(try load(format, from: area), format)
    for index in UInt8(0)..<8 {
      let number = Int((x87.top &+ UInt16(index)) & 7)
      x87.registers[number] = try area.load(format.size &+ UInt64(index) &* 10)
    }
  }
}

// MARK: - The environment in memory

/// Which of the four layouts the environment has in memory.
private struct EnvironmentFormat {
  /// 14 bytes, of 16-bit words, or 28, of 32-bit ones.
  var is16Bit: Bool
  /// Real-address mode and virtual-8086 mode: 20-bit linear addresses in place of selectors and offsets.
  var isReal: Bool

  init(_ instruction: borrowing Instruction, isReal: Bool) {
    is16Bit = instruction.operandSize == 2
    self.isReal = isReal
  }

  var size: UInt64 { is16Bit ? 14 : 28 }
}

/// The seven words of an environment in memory: control, status, tags, instruction pointer and selector, operand
/// pointer and selector.
private typealias EnvironmentWords = InlineArray<7, UInt32>

extension Core {
  /// The words of the environment. In the 32-bit formats, reserved upper halves are ones.
  private func environment(_ format: EnvironmentFormat) -> EnvironmentWords {
    let state = extendedState
    let instruction = UInt32(truncatingIfNeeded: state.pointee.instructionPointer)
    let data = UInt32(truncatingIfNeeded: state.pointee.dataPointer)
    let opcode = UInt32(state.pointee.opcode & 0x7FF)
    let ones: UInt32 = 0xFFFF_0000
    var words: EnvironmentWords = [
      UInt32(state.pointee.controlWord) | ones, UInt32(state.pointee.statusWord) | ones,
      UInt32(tagWord) | ones, instruction, opcode &<< 16, data, ones,
    ]
    if format.isReal {
      let linear = instruction &+ UInt32(state.pointee.instructionSelector) &<< 4
      let linearData = data &+ UInt32(state.pointee.dataSelector) &<< 4
      words[3] = linear & 0xFFFF | ones
      words[4] = (linear &>> 16) &<< 12 | opcode
      words[5] = linearData & 0xFFFF | ones
      words[6] = (linearData &>> 16) &<< 12
    }
    return words
  }

  private func store(
    _ words: EnvironmentWords, _ format: EnvironmentFormat, to area: MemoryArea
  ) throws(Interruption) {
    for index in 0..<7 {
      if format.is16Bit {
        try area.store(UInt16(truncatingIfNeeded: words[index]), at: UInt64(index) &* 2)
      } else {
        try area.store(words[index], at: UInt64(index) &* 4)
      }
    }
  }

  private func load(
    _ format: EnvironmentFormat, from area: MemoryArea
  ) throws(Interruption) -> EnvironmentWords {
    var words: EnvironmentWords = InlineArray(repeating: 0)
    for index in 0..<7 {
      words[index] =
        format.is16Bit
        ? UInt32(try area.load(UInt64(index) &* 2, as: UInt16.self))
        : try area.load(UInt64(index) &* 4, as: UInt32.self)
    }
    return words
  }

  private func setEnvironment(_ words: EnvironmentWords, _ format: EnvironmentFormat) {
    let state = extendedState
    state.pointee.statusWord = UInt16(truncatingIfNeeded: words[1])
    setTagWord(UInt16(truncatingIfNeeded: words[2]))
    state.pointee.instructionSelector = 0
    state.pointee.dataSelector = 0
    if format.isReal {
      // Bits 31:16 are at 27:12 of the next word, or in the 16-bit format bits 19:16 at 15:12.
      state.pointee.instructionPointer = UInt64(words[3] & 0xFFFF | (words[4] &>> 12 & 0xFFFF) &<< 16)
      state.pointee.dataPointer = UInt64(words[5] & 0xFFFF | (words[6] &>> 12 & 0xFFFF) &<< 16)
      state.pointee.opcode = UInt16(truncatingIfNeeded: words[4]) & 0x7FF
    } else {
      state.pointee.instructionPointer = UInt64(words[3])
      state.pointee.dataPointer = UInt64(words[5])
      // The 16-bit format of protected mode has no place for the opcode.
      state.pointee.opcode = format.is16Bit ? 0 : UInt16(truncatingIfNeeded: words[4] &>> 16) & 0x7FF
    }
    x87.setControlWord(UInt16(truncatingIfNeeded: words[0]))
  }

  // MARK: Tags

  /// The tag word: two bits for each physical register.
  ///
  /// Source: SDM volume 1, "x87 FPU Tag Word".
  private var tagWord: UInt16 {
    var word: UInt16 = 0
    for number in 0..<8 {
      let isUsed = extendedState.pointee.tags &>> UInt8(number) & 1 != 0
      let tag: UInt16 = isUsed ? x87.registers[number].tag : 3
      word |= tag &<< UInt16(number &* 2)
    }
    return word
  }

  private func setTagWord(_ word: UInt16) {
    var tags: UInt8 = 0
    for number in 0..<8 where word &>> UInt16(number &* 2) & 3 != 3 { tags |= 1 &<< UInt8(number) }
    extendedState.pointee.tags = tags
  }
}

extension X87Register {
  /// The tag of a register that is not empty: valid, zero, or special.
  fileprivate var tag: UInt16 {
    if biasedExponent == 0 { return significand == 0 ? 1 : 2 }
    return biasedExponent == Self.exponentField || significand >> 63 == 0 ? 2 : 0
  }
}
