import X86

extension Decoder {
  /// Consumes the SIB byte and the displacement of a memory operand.
  mutating func readAddress() throws(DecodeFailure) {
    if instruction.addressSize == 2 {
      try readAddress16()
    } else {
      try readAddress32()
    }
  }

  /// MOV's memory offset: an address of the address size in the instruction.
  mutating func offsetInInstruction(size: UInt8) throws(DecodeFailure) -> Operand {
    let offset = try cursor.unsigned(instruction.addressSize)
    instruction.address.displacement = Int64(bitPattern: offset)
    return Operand(.memory, size: size)
  }

  /// SDM volume 2, "16-Bit Addressing Forms with the ModR/M Byte".
  private mutating func readAddress16() throws(DecodeFailure) {
    let rbx: UInt8 = 3
    let rbp: UInt8 = 5
    let rsi: UInt8 = 6
    let rdi: UInt8 = 7
    let none = MemoryAddress.none
    let (base, index): (UInt8, UInt8) =
      switch rm {
      case 0: (rbx, rsi)
      case 1: (rbx, rdi)
      case 2: (rbp, rsi)
      case 3: (rbp, rdi)
      case 4: (rsi, none)
      case 5: (rdi, none)
      case 6: (mod == 0 ? none : rbp, none)
      default: (rbx, none)
      }
    setBase(base)
    instruction.address.index = index
    let isDirect = mod == 0 && rm == 6
    try readDisplacement(isDirect || mod == 2 ? 2 : mod)
  }

  /// SDM volume 2, "32-Bit Addressing Forms with the ModR/M Byte" and "… with the SIB Byte".
  private mutating func readAddress32() throws(DecodeFailure) {
    let hasSIB = rm == 4
    let sib = hasSIB ? try cursor.next() : 0
    let base = hasSIB ? sib & 7 : rm
    if hasSIB {
      // Index 4 without REX.X is no index; R12 is one.
      let index = sib >> 3 & 7 | rexX
      if index != 4 {
        instruction.address.index = index
        instruction.address.scale = 1 << (sib >> 6)
      }
    }
    // Mod 0 with base 5, whatever REX.B, has a displacement in the base's place.
    if mod == 0, base == 5 {
      if is64, !hasSIB { instruction.address.base = MemoryAddress.instructionPointer }
      return try readDisplacement(4)
    }
    setBase(base | rexB)
    try readDisplacement(mod == 2 ? 4 : mod)
  }

  /// Sets the base register; addresses based on the stack and frame pointers are in the stack segment by default.
  private mutating func setBase(_ base: UInt8) {
    instruction.address.base = base
    if segmentOverride == nil, base == 4 || base == 5 { instruction.address.segment = .ss }
  }

  private mutating func readDisplacement(_ size: UInt8) throws(DecodeFailure) {
    guard size != 0 else { return }
    instruction.address.displacement = try cursor.signed(size)
  }
}
