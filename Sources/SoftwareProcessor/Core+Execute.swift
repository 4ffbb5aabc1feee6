import InstructionDecoder

extension Core {
  /// Executes instructions until `budget` of them have retired, or a system instruction has executed; never more than
  /// `budget`.
  ///
  /// When it returns or throws, `rip`, the flags and the clock are exact. On a throw, the instruction at `rip` has not
  /// retired.
  func execute(budget: Int64) throws(Interruption) {
    cpu.pointee.budget = budget
    cpu.pointee.counted = budget
    do {
      try run()
    } catch {
      countRetired()
      throw error
    }
    countRetired()
  }

  /// The interpreter's loop.
  private func run() throws(Interruption) {
    var budget = cpu.pointee.budget
    while budget > 0 {
      let block = try block(within: budget)
      var record = block.records
      var system: UnsafePointer<Instruction>?
      do throws(Interruption) {
        steps: while true {
          switch record.pointee.operation {
          case .straight:
            rip = block.pointee.rip &+ UInt64(record.pointee.offset)
            if let instruction = record.pointee.instruction { try executeInteger(instruction.pointee) }
          case .branch:
            rip = block.pointee.rip &+ UInt64(record.pointee.offset)
            if let instruction = record.pointee.instruction { try executeInteger(instruction.pointee) }
            budget &-= Int64(record.pointee.count)
            break steps
          case .system:
            rip = block.pointee.rip &+ UInt64(record.pointee.offset)
            budget &-= Int64(record.pointee.retired)
            system = record.pointee.instruction
            break steps
          case .next, .stale:
            rip = block.pointee.rip &+ UInt64(record.pointee.offset)
            budget &-= Int64(record.pointee.retired)
            break steps
          }
          record += 1
        }
        cpu.pointee.budget = budget
      } catch {
        rip = block.pointee.rip &+ UInt64(record.pointee.offset)
        cpu.pointee.budget = budget &- Int64(record.pointee.retired)
        throw error
      }
      if let system { return try runSystem(system) }
    }
  }

  /// Executes a system instruction at `rip`, under an exact clock.
  private func runSystem(_ instruction: UnsafePointer<Instruction>) throws(Interruption) {
    countRetired()
    try executeSystem(instruction.pointee)
    cpu.pointee.budget &-= 1
  }
}
