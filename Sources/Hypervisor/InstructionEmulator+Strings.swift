import InstructionDecoder
import Translation
import X86

/// MOVS, CMPS, STOS, LODS and SCAS, with their repeat prefixes.
///
/// Source: SDM volume 2, "REP/REPE/REPZ/REPNE/REPNZ—Repeat String Operation Prefix".
extension InstructionEmulator {
  /// The elements per exit at the most: a longer repetition exits again.
  private static var elementLimit: Int { 4096 }

  mutating func executeString() throws(GuestFault) {
    let isRepeated = !instruction.prefixes.isDisjoint(with: [.rep, .repne])
    let mask = space.mask(instruction.addressSize)
    guard isRepeated else { return try executeElement(mask) }
    var elements = 0
    while guest[.rcx] & mask != 0 {
      if elements == Self.elementLimit || elements > 0 && guest.stopsBetweenElements {
        isUnfinished = true
        return
      }
      try executeElement(mask)
      setCounter(.rcx, guest[.rcx] &- 1, mask)
      elements += 1
      if endsRepetition { return }
    }
  }

  /// CMPS and SCAS go on while ZF is as the prefix says.
  private var endsRepetition: Bool {
    guard instruction.mnemonic == .cmps || instruction.mnemonic == .scas else { return false }
    return flags.contains(.zf) == instruction.prefixes.contains(.repne)
  }

  private func executeElement(_ mask: UInt64) throws(GuestFault) {
    let size = instruction.operandSize
    let source = instruction.address.segment
    switch instruction.mnemonic {
    case .movs:
      let target = try linear(.es, .rdi, mask, size, .write)
      try space.probe(target, size: size, .write)
      try space.store(try load(source, .rsi, mask, size), at: target, size: size)
      advance([.rsi, .rdi], mask, size)
    case .stos:
      try space.store(guest[.rax], at: try linear(.es, .rdi, mask, size, .write), size: size)
      advance([.rdi], mask, size)
    case .lods:
      setRegister(.rax, try load(source, .rsi, mask, size), size: size)
      advance([.rsi], mask, size)
    case .cmps:
      let left = try load(source, .rsi, mask, size)
      let right = try load(.es, .rdi, mask, size)
      setFlags(ArithmeticResult(left, minus: right, borrow: 0, size).flags)
      advance([.rsi, .rdi], mask, size)
    default:
      let right = try load(.es, .rdi, mask, size)
      setFlags(ArithmeticResult(guest[.rax] & Width.mask(size), minus: right, borrow: 0, size).flags)
      advance([.rdi], mask, size)
    }
  }

  private func linear(
    _ segment: SegmentRegister, _ register: GeneralRegister, _ mask: UInt64, _ size: UInt8, _ kind: AccessKind
  ) throws(GuestFault) -> UInt64 {
    try space.linear(segment, guest[register] & mask, size: UInt64(size), kind)
  }

  private func load(
    _ segment: SegmentRegister, _ register: GeneralRegister, _ mask: UInt64, _ size: UInt8
  ) throws(GuestFault) -> UInt64 {
    try space.load(try linear(segment, register, mask, size, .read), size: size)
  }

  private func advance(_ registers: [GeneralRegister], _ mask: UInt64, _ size: UInt8) {
    let step = flags.contains(.df) ? 0 &- UInt64(size) : UInt64(size)
    for register in registers { setCounter(register, guest[register] &+ step, mask) }
  }

  /// Writes an index or count register by its address size: 32 bits clear the upper half, 16 keep the rest.
  private func setCounter(_ register: GeneralRegister, _ value: UInt64, _ mask: UInt64) {
    guest[register] = mask == 0xFFFF ? guest[register] & ~mask | value & mask : value & mask
  }
}
