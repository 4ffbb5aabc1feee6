import InstructionDecoder

extension Core {
  /// Executes a system instruction at `rip`, and moves `rip` past it or to its target.
  func executeSystem(_ instruction: Instruction) throws(Interruption) {
    throw raise(.invalidOpcode)
  }

  /// Where `linear` is, by the current paging and EPT.
  func translate(
    _ linear: UInt64, access: MemoryAccess, privilege: Privilege
  ) throws(Interruption) -> TranslatedAddress {
    TranslatedAddress(physical: linear, writable: true, large: false)
  }
}
