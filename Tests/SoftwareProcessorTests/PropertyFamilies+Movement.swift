// MARK: Movement

extension PropertyBuilder {
  mutating func moveRegister() {
    chooseSize()
    sized(pick([0x88, 0x8A]))
    chooseReg()
    chooseRM()
    if chance(10) { spoilAddress() }
  }

  mutating func moveImmediate() {
    chooseSize()
    if chance(2) {
      sized(0xC6)
      digit(0)
      chooseRM()
      chooseImmediate(min(size, 4))
    } else {
      plain((size == 1 ? 0xB0 : 0xB8) | UInt8(random.next() % 8))
      chooseImmediate(size)
    }
  }

  mutating func moveOffset() {
    chooseSize()
    sized(pick([0xA0, 0xA2]))
    address = dataAddress(size)
    let isShort = chooseShortAddress() || is32Bit
    setImmediate(address, isShort ? 4 : 8)
  }

  mutating func moveExtended() {
    chooseSize([2, 4, 8])
    chooseReg()
    let kind = random.next() % 5
    let source = kind == 4 ? 4 : kind % 2 == 0 ? 1 : 2
    // MOVSXD without REX.W is no use, and with 66H its source is a matter of taste.
    if kind == 4, size == 2 || is32Bit { return noOperation() }
    if kind == 4 { plain(0x63) } else { plain(0x0F, [0xB6, 0xB7, 0xBE, 0xBF][Int(kind)]) }
    chooseRM(span: source)
    if !isMemory || chance(2) { setRM(random.value(), size: source) }
  }

  mutating func loadAddress() {
    chooseSize([2, 4, 8])
    plain(0x8D)
    chooseReg()
    chooseMemory(span: size)
    if chance(4) { spoilAddress() }
  }

  mutating func conditionalMove() {
    chooseSize([2, 4, 8])
    plain(0x0F, 0x40 | UInt8(random.next() % 16))
    chooseReg()
    chooseRM()
    if chance(20) { spoilAddress() }
  }

  mutating func setByte() {
    size = 1
    plain(0x0F, 0x90 | UInt8(random.next() % 16))
    digit(0)
    chooseRM()
  }

  mutating func translateByte() {
    plain(0xD7)
    let isShort = chooseShortAddress()
    set(3, PropertyLayout.data + random.next() % 0x2000 | (isShort ? random.next() << 32 : 0))
  }

  /// MOVS, CMPS, STOS, LODS and SCAS, with and without repetition, up and down.
  mutating func string() {
    chooseSize()
    let comparison: UInt8 = 0xA6
    let code = pick([0xA4, comparison, 0xAA, 0xAC, 0xAE])
    sized(code)
    let isShort = chooseShortAddress()
    if code == comparison { result.compared = (size, isShort || is32Bit ? 4 : 8) }
    let isRepeated = chance(2)
    // Hosts differ in the upper halves that a repetition with 32-bit addresses leaves when its count is 0.
    let garbage = { (random: inout PropertyRandom) in isShort && !isRepeated ? random.next() << 32 : 0 }
    let source = dataAddress(size)
    var destination = chance(3) ? dataAddress(size) : source &+ random.next() % 32 &- 16
    // Equal strings, so that a comparison goes on for a while.
    if chance(3) { destination = source }
    set(6, source | garbage(&random))
    set(7, destination | garbage(&random))
    if isRepeated {
      prefix(pick([0xF2, 0xF3]))
      set(1, random.next() % 40 | garbage(&random))
    }
    if chance(3) { set(0, 0) }
  }
}

// MARK: Stack

extension PropertyBuilder {
  /// The default size of stack operands and near branch targets.
  private var native: Int { is32Bit ? 4 : 8 }

  mutating func pushPop() {
    chooseStackSize()
    switch random.next() % 6 {
    case 0: plain(0x50 | UInt8(random.next() % 8))
    case 1: plain(0x58 | UInt8(random.next() % 8))
    case 2:
      plain(0x68)
      chooseImmediate(min(size, 4))
    case 3:
      plain(0x6A)
      chooseImmediate(1)
    case 4:
      plain(0xFF)
      digit(6)
      chooseRM()
    default:
      plain(0x8F)
      digit(0)
      chooseRM()
    // A base of RSP is the one after the pop: the address is another by the operand's size.
    }
  }

  /// The native size by default, 2 with 66H; and sometimes a REX.B, which is of use with registers in the opcode.
  private mutating func chooseStackSize() {
    size = native
    if chance(4) {
      size = 2
      prefix(0x66)
    }
    if chance(2) { extendRegister() }
  }

  mutating func frame() {
    chooseStackSize()
    if chance(2) {
      set(5, dataAddress(size))
      plain(0xC9)
    } else {
      plain(0xC8)
      set(5, dataAddress(64) + 0x100)
      let level = chance(2) ? 0 : random.next() % 8
      setImmediate(random.next() % 0x400 | level << 16, 3)
    }
  }

  mutating func pushFlags() {
    chooseStackSize()
    if chance(2) { return plain(0x9C) }
    plain(0x9D)
    patch(result.general[4], 0x202 | random.next() & PropertyFlag.compared, size)
  }
}

// MARK: Control transfer

extension PropertyBuilder {
  /// An address in the code page from which nothing executes but the final trap.
  private mutating func target() -> UInt64 {
    PropertyLayout.instruction + 16 + random.next() % 0x600
  }

  mutating func relativeBranch() {
    let isShort = chance(2)
    let displacement = isShort ? random.next() % 120 : 32 + random.next() % 0x600
    setImmediate(displacement, isShort ? 1 : 4)
    switch random.next() % 4 {
    case 0: plain(isShort ? 0xEB : 0xE9)
    case 1 where !isShort: plain(0xE8)
    case _ where isShort: plain(0x70 | UInt8(random.next() % 16))
    default: plain(0x0F, 0x80 | UInt8(random.next() % 16))
    }
  }

  /// Jcc to the next instruction, so that it is on both ways.
  mutating func jumpToNext() {
    let isShort = chance(2)
    let condition = UInt8(random.next() % 16)
    if isShort { plain(0x70 | condition) } else { plain(0x0F, 0x80 | condition) }
    setImmediate(0, isShort ? 1 : 4)
  }

  mutating func loop() {
    plain(pick([0xE0, 0xE1, 0xE2, 0xE3]))
    if chance(3) { prefix(0x67) }
    set(1, pick([0, 1, 2, 1 << 32, 1 << 32 | 1, random.next()]))
    setImmediate(random.next() % 120, 1)
  }

  mutating func indirectBranch() {
    size = native
    plain(0xFF)
    let isCall = chance(2)
    digit(isCall ? 2 : 4)
    // Which of two faults a CALL prefers is not said, and hosts differ in whether one that faults has pushed.
    let target = chance(10) && !is32Bit && !isCall ? 1 << 50 : target()
    chooseRM()
    guard isMemory || rm != 4 else { return noOperation() }
    setRM(target)
  }

  mutating func returnNear() {
    size = native
    patch(result.general[4], chance(10) && !is32Bit ? 1 << 50 : target(), size)
    if chance(2) { return plain(0xC3) }
    plain(0xC2)
    setImmediate(random.next(), 2)
  }

  mutating func noOperation() {
    plain(0x0F, 0x1F)
    digit(0)
    isMemory = false
    chooseRM()
    spoilAddress()
  }

  /// LOCK where it is not allowed, and opcodes that are none in 64-bit mode.
  mutating func undefined() {
    if !is32Bit, chance(2) {
      plain(
        pick([0x06, 0x0E, 0x16, 0x1E, 0x27, 0x2F, 0x37, 0x3F, 0x60, 0x61, 0x9A, 0xCE, 0xD4, 0xD5, 0xD6, 0xEA])
      )
      setImmediate(0, 8)
      return
    }
    lock()
    chooseSize()
    switch random.next() % 3 {
    case 0:
      sized(0x38)
      chooseReg()
      chooseRM()
    case 1:
      sized(pick([0x00, 0x28, 0x86]))
      chooseReg()
      chooseRegisterRM()
    default:
      sized(0x88)
      chooseReg()
      chooseRM()
    }
  }
}
