import InstructionDecoder

extension BlockBuilder {
  /// Appends the record of `instruction`. Returns whether the block goes on behind it.
  mutating func lower(_ instruction: Instruction) -> Bool {
    switch InstructionKind(instruction.mnemonic) {
    case .straight:
      append(.straight, carrying: instruction)
      return true
    case .branch:
      append(.branch, carrying: instruction)
      return false
    case .system:
      append(.system, carrying: instruction)
      return false
    }
  }
}
