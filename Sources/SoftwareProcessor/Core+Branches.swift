import InstructionDecoder
import X86

// Near control transfer. Each of these sets `rip`: to the target, or past the instruction.
extension Core {
  /// The address of the next instruction.
  @inline(always)
  func next(after instruction: borrowing Instruction) -> UInt64 {
    let next = rip &+ UInt64(instruction.length)
    return is64BitMode ? next : next & 0xFFFF_FFFF
  }

  /// Faults if a near branch to `target` would: #GP(0) if it is not canonical or beyond CS's limit.
  func checkTarget(_ target: UInt64) throws(Interruption) {
    let isAllowed = is64BitMode ? isCanonical(target) : target <= UInt64(cpu.pointee.cs.limit)
    guard isAllowed else { throw raise(.generalProtection) }
  }

  /// The target of a relative branch, cut to the operand size.
  func relativeTarget(_ instruction: borrowing Instruction) -> UInt64 {
    OperandSize(instruction.operandSize).truncated(next(after: instruction) &+ instruction.immediate)
  }

  /// The target of a near JMP or CALL, relative or in a register or memory.
  private func target(_ instruction: borrowing Instruction) throws(Interruption) -> UInt64 {
    let target =
      instruction.operand0.kind == .relative
      ? relativeTarget(instruction) : try value(of: instruction.operand0, instruction)
    try checkTarget(target)
    return target
  }

  func executeJump(_ instruction: borrowing Instruction) throws(Interruption) {
    rip = try target(instruction)
  }

  func executeCall(_ instruction: borrowing Instruction) throws(Interruption) {
    let target = try target(instruction)
    try push(next(after: instruction), OperandSize(instruction.operandSize))
    rip = target
  }

  /// RET, with the bytes of parameters that it releases.
  func executeReturn(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let target = try stackTop(size)
    try checkTarget(target)
    let released = instruction.operandCount == 0 ? 0 : instruction.immediate & 0xFFFF
    writeRegister(4, self[.rsp] &+ UInt64(size.bytes) &+ released, stackSize)
    rip = target
  }

  /// Jcc, JCXZ and LOOPcc.
  func executeConditionalJump(_ instruction: borrowing Instruction) throws(Interruption) {
    let counterSize = OperandSize(instruction.addressSize)
    let counter = readRegister(1, counterSize)
    let mnemonic = instruction.mnemonic
    let isLoop = mnemonic != .jcc && mnemonic != .jcxz
    let remaining = counterSize.truncated(counter &- 1)
    let zero = flags.pointee.zero
    let taken =
      switch instruction.mnemonic {
      case .jcc: flags.pointee.holds(instruction.condition)
      case .jcxz: counter == 0
      case .loope: remaining != 0 && zero
      case .loopne: remaining != 0 && !zero
      default: remaining != 0
      }
    if taken {
      let target = relativeTarget(instruction)
      try checkTarget(target)
      rip = target
    } else {
      rip = next(after: instruction)
    }
    if isLoop { writeRegister(1, remaining, counterSize) }
  }
}
