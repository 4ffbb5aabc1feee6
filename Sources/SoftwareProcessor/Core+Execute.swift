import InstructionDecoder

extension Core {
  /// Executes instructions until `budget` of them have retired, or a system instruction has executed, or a repeated
  /// string instruction has done a part of its work; never more than `budget`.
  ///
  /// When it returns or throws, `rip`, the flags and the clock are exact. On a throw, the instruction at `rip` has not
  /// retired.
  func execute(budget: Int64) throws(Interruption) {
    cpu.pointee.budget = budget
    cpu.pointee.counted = budget
    countRetired()
  }
}
