// MARK: Shifts and bits

extension PropertyBuilder {
  private var bits: UInt64 { UInt64(size * 8) }

  mutating func shift() {
    chooseSize()
    let operation = UInt8(random.next() % 8)
    digit(operation)
    let mask: UInt64 = size == 8 ? 63 : 31
    var count: UInt64 = 1
    let chosen = chance(3) ? random.next() & 0xFF : random.next() % (bits + 2)
    switch random.next() % 3 {
    case 0:
      sized(0xD0)
      chooseRM()
    case 1:
      sized(0xC0)
      chooseRM()
      setImmediate(chosen, 1)
      count = chosen & mask
    default:
      // What a sequence has in CL is not known here.
      if isInSequence { return noOperation() }
      sized(0xD2)
      set(1, result.general[1] & ~0xFF | chosen)
      chooseRM()
      count = chosen & mask
    }
    guard count != 0 else { return }
    let isShift = operation >= 4
    if count != 1 { result.undefinedFlags |= PropertyFlag.of }
    if isShift { result.undefinedFlags |= PropertyFlag.af }
    // SHL and SHR by the operand's size or more leave CF undefined.
    if isShift, operation != 7, count >= bits { result.undefinedFlags |= PropertyFlag.cf }
  }

  mutating func doubleShift() {
    chooseSize([2, 4, 8])
    chooseReg()
    let base: UInt8 = pick([0xA4, 0xAC])
    // A count above the operand's size makes everything undefined.
    let count = random.next() % (bits + (size == 2 ? 1 : bits))
    let masked = count & (size == 8 ? 63 : 31)
    if isInSequence || chance(2) {
      plain(0x0F, base)
      chooseRM()
      setImmediate(count, 1)
    } else {
      plain(0x0F, base | 1)
      set(1, result.general[1] & ~0xFF | count)
      chooseRM()
    }
    guard masked != 0 else { return }
    result.undefinedFlags = PropertyFlag.af
    if masked != 1 { result.undefinedFlags |= PropertyFlag.of }
  }

  private static let bitTestUndefined = PropertyFlag.of | PropertyFlag.sf | PropertyFlag.af | PropertyFlag.pf

  mutating func bitTestRegister() {
    chooseSize([2, 4, 8])
    let operation: UInt8 = pick([0xA3, 0xAB, 0xB3, 0xBB])
    plain(0x0F, operation)
    result.undefinedFlags = Self.bitTestUndefined
    chooseReg()
    if chance(2) { return chooseRegisterRM() }
    // The bit offset reaches out of the operand, in both directions, but not out of the data.
    let distance = random.next() % 0x3000
    let offset = chance(2) ? distance : 0 &- distance
    let garbage = size == 8 ? 0 : random.next() << bits
    let mask: UInt64 = size == 8 ? .max : (1 << bits) - 1
    while reg == 4 { chooseReg() }
    set(reg, garbage | offset & mask)
    let isLocked = operation != 0xA3 && chance(5)
    chooseMemory(span: size, aligned: isLocked)
    if isLocked { lock() }
  }

  mutating func bitTestImmediate() {
    chooseSize([2, 4, 8])
    plain(0x0F, 0xBA)
    digit(pick([4, 5, 6, 7]))
    chooseRM()
    chooseImmediate(1)
    result.undefinedFlags = Self.bitTestUndefined
  }

  mutating func bitScan() {
    chooseSize([2, 4, 8])
    plain(0x0F, pick([0xBC, 0xBD]))
    chooseReg()
    chooseRM()
    // A source of zero leaves the destination undefined.
    setRM(1 << (random.next() % bits) | random.value())
    result.undefinedFlags = PropertyFlag.status & ~PropertyFlag.zf
  }

  mutating func countBits(_ opcodes: [UInt8]) {
    chooseSize([2, 4, 8])
    mandatoryPrefix(0xF3)
    let opcode = pick(opcodes)
    plain(0x0F, opcode)
    chooseReg()
    chooseRM()
    setRM(random.value())
    if opcode != 0xB8 { result.undefinedFlags = PropertyFlag.status & ~(PropertyFlag.zf | PropertyFlag.cf) }
  }

  mutating func byteSwap() {
    chooseSize([4, 8])
    plain(0x0F, 0xC8 | UInt8(random.next() % 8))
  }
}

// MARK: Extensions

extension PropertyBuilder {
  mutating func moveBigEndian() {
    chooseSize([2, 4, 8])
    plain(0x0F, 0x38, pick([0xF0, 0xF1]))
    chooseReg()
    chooseMemory(span: size)
  }

  mutating func crc32() {
    chooseSize()
    mandatoryPrefix(0xF2)
    sized(0x0F, 0x38, 0xF0)
    chooseReg()
    chooseRM()
  }

  mutating func addWithFlag() {
    chooseWidth()
    mandatoryPrefix(pick([0x66, 0xF3]))
    plain(0x0F, 0x38, 0xF6)
    chooseReg()
    chooseRM()
  }

  mutating func moveNonTemporal() {
    chooseWidth()
    plain(0x0F, 0xC3)
    chooseReg()
    chooseMemory(span: size)
  }

  mutating func bmi1() {
    chooseWidth()
    chooseReg()
    let other = anyRegister()
    let unusual = PropertyFlag.af | PropertyFlag.pf
    switch random.next() % 3 {
    case 0:
      useVEX(map: 2, prefix: 0, register: other, 0xF2)
      result.undefinedFlags = unusual
    case 1:
      useVEX(map: 2, prefix: 0, register: other, 0xF7)
      if other != 4 { set(other, random.next() & 0x3F3F) }
      result.undefinedFlags = unusual | PropertyFlag.sf
    default:
      digit(pick([1, 2, 3]))
      useVEX(map: 2, prefix: 0, register: other, 0xF3)
      result.undefinedFlags = unusual
    }
    chooseRM()
    if chance(3) { setRM(random.value()) }
  }

  mutating func bmi2() {
    chooseWidth()
    chooseReg()
    let other = anyRegister()
    switch random.next() % 8 {
    case 0:
      useVEX(map: 2, prefix: 0, register: other, 0xF5)
      if other != 4, chance(2) { set(other, random.next() & ~0xFF | random.next() % 70) }
      result.undefinedFlags = PropertyFlag.af | PropertyFlag.pf
    case 1: useVEX(map: 2, prefix: 2, register: other, 0xF5)
    case 2: useVEX(map: 2, prefix: 3, register: other, 0xF5)
    case 3: useVEX(map: 2, prefix: 3, register: other, 0xF6)
    case 4:
      useVEX(map: 3, prefix: 3, register: 0, 0xF0)
      setImmediate(random.next(), 1)
    default: useVEX(map: 2, prefix: UInt8(1 + random.next() % 3), register: other, 0xF7)
    }
    chooseRM()
  }
}
