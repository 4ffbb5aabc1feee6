// MARK: What 64-bit mode has no encodings of

extension PropertyBuilder {
  mutating func adjustDecimal() {
    size = 1
    let opcode: UInt8 = pick([0x27, 0x2F, 0x37, 0x3F])
    plain(opcode)
    // DAA and DAS leave OF undefined, AAA and AAS also SF, ZF and PF.
    result.undefinedFlags = PropertyFlag.of
    if opcode & 0x10 != 0 { result.undefinedFlags |= PropertyFlag.sf | PropertyFlag.zf | PropertyFlag.pf }
  }

  mutating func adjustByBase() {
    plain(pick([0xD4, 0xD5]))
    setImmediate(chance(2) ? 10 : random.next() & 0xFF, 1)
    result.undefinedFlags = PropertyFlag.of | PropertyFlag.af | PropertyFlag.cf
  }

  mutating func countRegister() {
    chooseSize([2, 4])
    plain(0x40 | UInt8(random.next() % 16))
  }

  mutating func pushAll() {
    chooseSize([2, 4])
    plain(pick([0x60, 0x61]))
  }

  mutating func bound() {
    chooseSize([2, 4])
    plain(0x62)
    chooseReg()
    chooseMemory(span: size * 2)
    guard chance(2) else { return }
    let bits = UInt64(size * 8)
    patch(address, 1 << (bits - 1) | random.next() & 0xFF, size)
    patch(address + UInt64(size), (1 << (bits - 1)) - 1, size)
  }

  mutating func adjustPrivilege() {
    size = 2
    plain(0x63)
    chooseReg()
    chooseRM()
  }

  /// All 16-bit addressing forms, without an access.
  mutating func loadShortAddress() {
    chooseSize([2, 4])
    prefix(0x67)
    plain(0x8D)
    let form = UInt8(random.next() % 8)
    let mod = UInt8(random.next() % 3)
    let count = mod == 0 ? (form == 6 ? 2 : 0) : Int(mod)
    let displacement = random.next() & ((1 << UInt64(count * 8)) - 1)
    setImmediate(UInt64(mod << 6 | anyRegister() << 3 | form) | displacement << 8, count + 1)
  }
}
