import InstructionDecoder
import X86

// String instructions without ports. A repeated one does at most `repetitionsPerStep` elements before it looks like
// an instruction that was interrupted and will go on: `rip` stays on it. The bound depends on nothing but the
// registers, so that every run divides the work in the same way.
extension Core {
  static var repetitionsPerStep: Int { 4096 }

  /// One iteration where something may happen after each: a single step, a breakpoint, an MTF VM exit, the emulation of
  /// a write to the APIC-access page.
  private var repetitionLimit: Int {
    let isStepping =
      systemFlags.contains(.tf) || hasBreakpoints || nonRoot.pointee.primary.contains(.monitorTrapFlag)
      || nonRoot.pointee.virtualAPIC.isStepping
    return isStepping ? 1 : Self.repetitionsPerStep
  }

  /// MOVS, CMPS, STOS, LODS and SCAS, repeated or not. Sets `rip`.
  func executeString(_ instruction: borrowing Instruction) throws(Interruption) {
    let addressSize = OperandSize(instruction.addressSize)
    let isRepeated = !instruction.prefixes.isDisjoint(with: [.rep, .repne])
    guard isRepeated else {
      try executeElement(instruction, addressSize)
      rip = next(after: instruction)
      return
    }
    var isDone = readRegister(1, addressSize) == 0
    var step = 0
    let limit = repetitionLimit
    let flagsBefore = flags.pointee
    while !isDone, step < limit {
      let run = try executeRun(instruction, limit: limit &- step)
      if run > 0 {
        step &+= run
        isDone = self[.rcx] == 0
        continue
      }
      do throws(Interruption) {
        try executeElement(instruction, addressSize)
      } catch {
        // SDM volume 2, "REP—Repeat String Operation Prefix": a fault of CMPS or SCAS leaves the flags as they were before.
        flags.pointee = flagsBefore
        throw error
      }
      let count = addressSize.truncated(self[.rcx] &- 1)
      writeRegister(1, count, addressSize)
      let isLast = count == 0
      let isEnded = endsRepetition(instruction)
      isDone = isLast || isEnded
      step &+= 1
    }
    cpu.pointee.isMidRepetition = !isDone
    if isDone { rip = next(after: instruction) }
  }

  /// Whether ZF ends REPE or REPNE after an element.
  private func endsRepetition(_ instruction: borrowing Instruction) -> Bool {
    switch instruction.mnemonic {
    case .cmps, .scas: break
    default: return false
    }
    return flags.pointee.zero != instruction.prefixes.contains(.rep)
  }

  private func executeElement(
    _ instruction: borrowing Instruction, _ addressSize: OperandSize
  ) throws(Interruption) {
    let size = OperandSize(instruction.operandSize)
    let source = addressSize.truncated(self[.rsi])
    let destination = addressSize.truncated(self[.rdi])
    let segment = instruction.address.segment
    switch instruction.mnemonic {
    case .movs:
      let value = try loadElement(segment, source, size)
      try storeElement(value, destination, size)
      advance(.rsi, size, addressSize)
      advance(.rdi, size, addressSize)
    case .cmps:
      let left = try loadElement(segment, source, size)
      let right = try loadElement(.es, destination, size)
      _ = flags.pointee.subtract(left, right, size)
      advance(.rsi, size, addressSize)
      advance(.rdi, size, addressSize)
    case .stos:
      try storeElement(self[.rax], destination, size)
      advance(.rdi, size, addressSize)
    case .lods:
      writeRegister(0, try loadElement(segment, source, size), size)
      advance(.rsi, size, addressSize)
    default:
      let right = try loadElement(.es, destination, size)
      _ = flags.pointee.subtract(self[.rax], right, size)
      advance(.rdi, size, addressSize)
    }
  }

  private func loadElement(
    _ segment: SegmentRegister, _ offset: UInt64, _ size: OperandSize
  ) throws(Interruption) -> UInt64 {
    let linear = try linearAddress(segment, offset, count: Int(size.bytes), access: .read)
    return try load(linear, size, stack: segment == .ss)
  }

  private func storeElement(_ value: UInt64, _ offset: UInt64, _ size: OperandSize) throws(Interruption) {
    let linear = try linearAddress(.es, offset, count: Int(size.bytes), access: .write)
    try store(value, size, at: linear)
  }

  /// Moves an index register by one element, in the direction of DF.
  private func advance(_ register: GeneralRegister, _ size: OperandSize, _ addressSize: OperandSize) {
    let step =
      cpu.pointee.rflagsSystem & RFLAGS.df.rawValue != 0 ? 0 &- UInt64(size.bytes) : UInt64(size.bytes)
    writeRegister(register.rawValue, self[register] &+ step, addressSize)
  }
}
