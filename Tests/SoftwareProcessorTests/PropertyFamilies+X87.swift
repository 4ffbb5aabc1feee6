// The x87 FPU.

extension PropertyFamily {
  static let x87 = [
    PropertyFamily("x87 arithmetic of registers") { $0.x87Registers() },
    PropertyFamily("x87 arithmetic of memory") { $0.x87Memory() },
    PropertyFamily("FLD, FST, FILD, FIST…") { $0.x87Movement() },
    PropertyFamily("FBLD, FBSTP", storesInParts: true) { $0.x87Decimals() },
    PropertyFamily("FCMOVcc, FXCH, FFREE…") { $0.x87StackMovement() },
    PropertyFamily("FCOM, FUCOM, FCOMI…") { $0.x87Comparison() },
    PropertyFamily("FCHS, FABS, FSQRT, FRNDINT…") { $0.x87Function() },
    PropertyFamily("FPREM, FPREM1, FSCALE") { $0.x87Remainder() },
    PropertyFamily("F2XM1, FYL2X, FYL2XP1, FPATAN") { $0.x87Logarithm() },
    PropertyFamily("FSIN, FCOS, FSINCOS, FPTAN") { $0.x87Trigonometry() },
    PropertyFamily("FLDCW, FNSTCW, FNSTSW, FNCLEX, FNINIT") { $0.x87Control() },
    PropertyFamily("FNSTENV, FLDENV, FNSAVE, FRSTOR", storesInParts: true) { $0.x87Environment() },
    PropertyFamily("WAIT") { $0.x87Wait() },
    PropertyFamily("FXSAVE, FXRSTOR", storesInParts: true) { $0.fxsave() },
    PropertyFamily("LDMXCSR, STMXCSR") { $0.moveMXCSR() },
    PropertyFamily("XSAVE, XRSTOR", feature: "xsave", storesInParts: true) { $0.xsave(group: [4, 5]) },
    PropertyFamily("XSAVEOPT", feature: "xsaveopt", storesInParts: true) { $0.xsave(group: [6]) },
    PropertyFamily("XSAVEC", feature: "xsavec", storesInParts: true) { $0.xsave(group: []) },
  ]
}

/// Bits of the x87 status word.
private enum Status {
  static let c1: UInt16 = 1 << 9
  static let conditions: UInt16 = 0x4700
}

// MARK: States

extension PropertyBuilder {
  /// An x87 state: mostly full, with values that meet each other's exceptions, and mostly masked.
  private mutating func chooseX87State(_ value: (inout PropertyBuilder) -> PropertyX87Value) {
    for index in 0..<8 { result.extended[st: index] = value(&self) }
    // Equal magnitudes, and neighbours.
    if chance(6) { result.extended[st: 1] = result.extended[st: 0] }
    let masks: UInt16 = chance(4) ? UInt16(random.next() & 0x3F) : 0x3F
    result.extended.controlWord = masks | 0x40 | UInt16(random.next() % 16) << 8
    if chance(8) { result.extended.controlWord |= 1 << 12 }
    result.extended.tags = chance(4) ? UInt8(truncatingIfNeeded: random.next()) : chance(2) ? 0xFF : 0x7E
    var status =
      UInt16(random.next() % 8) << 11 | UInt16(truncatingIfNeeded: random.next()) & Status.conditions
    if chance(4) { status |= UInt16(random.next() & 0x7F) }
    let isPending = status & ~result.extended.controlWord & 0x3F != 0
    if isPending { status |= 0x8080 }
    result.extended.statusWord = status
    // With room for a push at the top, and an empty place that moves about.
    if chance(2) {
      let top = Int(status >> 11 & 7)
      let tags = result.extended.tags
      result.extended.tags = tags & ~(1 << UInt8((top + 7) & 7))
    }
  }

  mutating func chooseX87State() { chooseX87State { $0.x87Value() } }

  /// Any 80 bits, many of them special.
  private mutating func x87Value() -> PropertyX87Value {
    let sign: UInt16 = chance(2) ? 0x8000 : 0
    var value = PropertyX87Value(significand: random.value() | 1 << 63, signAndExponent: sign)
    switch random.next() % 20 {
    case 0: value.significand = 0
    case 1: value.significand &= ~(1 << 63)
    case 2: break
    case 3:
      value.signAndExponent |= 0x7FFF
      value.significand = 1 << 63
    case 4: value.signAndExponent |= 0x7FFF
    case 5:
      // Unsupported encodings.
      value.signAndExponent |= chance(2) ? 0x7FFF : UInt16(random.next() & 0x7FFE) | 1
      value.significand &= ~(1 << 63)
    case 6, 7: value.signAndExponent |= UInt16(random.next() & 0x7FFF)
    case 8: value.signAndExponent |= UInt16(0x7FF0 + random.next() % 15)
    case 9: value.signAndExponent |= UInt16(1 + random.next() % 70)
    // Around the ranges of single and double precision.
    case 10: value.signAndExponent |= UInt16(16383 + 1020 + random.next() % 8)
    case 11: value.signAndExponent |= UInt16(16383 - 1080 + random.next() % 64)
    case 12: value.signAndExponent |= UInt16(16383 + 124 + random.next() % 8)
    case 13: value.signAndExponent |= UInt16(16383 - 154 + random.next() % 32)
    case 14:
      // A small integer.
      let integer = 1 + random.next() % 100
      let shift = UInt64(integer.leadingZeroBitCount)
      value.significand = integer << shift
      value.signAndExponent |= UInt16(16383 + 63 - shift)
    default: value.signAndExponent |= UInt16(16383 - 40 + random.next() % 110)
    }
    return value
  }

  /// A finite value of an exponent from `low` to `high`, now and then anything.
  private mutating func x87Finite(_ low: Int, _ high: Int) -> PropertyX87Value {
    if chance(12) { return x87Value() }
    let exponent = low + Int(random.next() % UInt64(high - low + 1))
    return PropertyX87Value(
      significand: random.value() | 1 << 63,
      signAndExponent: UInt16(16383 + exponent) | (chance(2) ? 0x8000 : 0))
  }

  private mutating func registerForm(_ opcode: UInt8, _ group: UInt8) {
    plain(opcode, 0xC0 | group << 3 | UInt8(random.next() % 8))
  }
}

// MARK: Instructions

extension PropertyBuilder {
  mutating func x87Registers() {
    chooseX87State()
    let opcode: UInt8 = pick([0xD8, 0xDC, 0xDE])
    registerForm(opcode, pick([0, 1, 4, 5, 6, 7]))
  }

  /// A memory operand with a value of the operand's size, which is often a special one.
  private mutating func x87MemoryOperand(_ opcode: UInt8, _ group: UInt8, _ span: Int) {
    plain(opcode)
    digit(group)
    chooseMemory(span: span)
    guard chance(2) else { return }
    let value = x87Value()
    let exponent = Int(value.signAndExponent & 0x7FFF)
    let sign = UInt64(value.signAndExponent >> 15)
    switch span {
    case 4:
      let field = UInt64(exponent == 0x7FFF ? 255 : exponent % 256)
      patch(address, sign << 31 | field << 23 | (value.significand >> 40) & 0x7F_FFFF, 4)
    case 8:
      let field = UInt64(exponent == 0x7FFF ? 2047 : exponent % 2048)
      patch(address, sign << 63 | field << 52 | (value.significand >> 11) & 0xF_FFFF_FFFF_FFFF, 8)
    case 10:
      patch(address, value.significand, 8)
      patch(address &+ 8, UInt64(value.signAndExponent), 2)
    default: break
    }
  }

  mutating func x87Memory() {
    chooseX87State()
    let (opcode, span): (UInt8, Int) = pick([(0xD8, 4), (0xDC, 8), (0xDA, 4), (0xDE, 2)])
    x87MemoryOperand(opcode, UInt8(random.next() % 8), span)
  }

  mutating func x87Movement() {
    chooseX87State()
    if chance(4) {
      return chance(2) ? registerForm(0xDD, pick([2, 3])) : registerForm(pick([0xD9, 0xDF]), pick([0, 3]))
    }
    let forms: [(UInt8, UInt8, Int)] = [
      (0xD9, 0, 4), (0xD9, 2, 4), (0xD9, 3, 4), (0xDD, 0, 8), (0xDD, 2, 8), (0xDD, 3, 8), (0xDB, 5, 10),
      (0xDB, 7, 10), (0xDB, 0, 4), (0xDB, 1, 4), (0xDB, 2, 4), (0xDB, 3, 4), (0xDF, 0, 2), (0xDF, 1, 2),
      (0xDF, 2, 2), (0xDF, 3, 2), (0xDF, 5, 8), (0xDF, 7, 8), (0xDD, 1, 8),
    ]
    // Of 80 bits a host accesses significand and exponent one after the other, in an order of its own when one faults.
    let (opcode, group, span) = pick(atLastPage ? forms.filter { $0.2 != 10 } : forms)
    if chance(2) { result.extended[st: 0] = x87Finite(-3, [2: 17, 4: 33, 8: 65][span] ?? 1030) }
    x87MemoryOperand(opcode, group, span)
  }

  mutating func x87Decimals() {
    chooseX87State()
    plain(0xDF)
    let isLoad = chance(2)
    digit(isLoad ? 4 : 6)
    if chance(2) { result.extended[st: 0] = x87Finite(-3, 61) }
    chooseMemory(span: 10)
    // Digits above 9 have no defined value.
    var digits: UInt64 = 0
    for _ in 0..<16 { digits = digits << 4 | random.next() % 10 }
    patch(address, chance(8) ? 0 : digits, 8)
    patch(address &+ 8, random.next() % 10 | (random.next() % 10) << 4 | (chance(2) ? 0x8000 : 0), 2)
  }

  mutating func x87StackMovement() {
    chooseX87State()
    switch random.next() % 6 {
    case 0...1: registerForm(pick([0xDA, 0xDB]), UInt8(random.next() % 4))
    case 2: registerForm(0xD9, 1)
    case 3: registerForm(0xDD, 0)
    case 4: plain(0xD9, pick([0xF6, 0xF7, 0xD0]))
    default: plain(0xD9, 0xE8 | UInt8(random.next() % 7))
    }
  }

  mutating func x87Comparison() {
    chooseX87State()
    switch random.next() % 5 {
    case 0: registerForm(0xD8, pick([2, 3]))
    case 1: registerForm(0xDD, pick([4, 5]))
    case 2: registerForm(pick([0xDB, 0xDF]), pick([5, 6]))
    case 3: chance(2) ? plain(0xDA, 0xE9) : plain(0xDE, 0xD9)
    default: plain(0xD9, pick([0xE4, 0xE5]))
    }
  }

  mutating func x87Function() {
    chooseX87State()
    if chance(2) { result.extended[st: 0] = x87Finite(-4, 66) }
    plain(0xD9, pick([0xE0, 0xE1, 0xF4, 0xFA, 0xFC]))
  }

  mutating func x87Remainder() {
    chooseX87State()
    if chance(2) {
      result.extended[st: 0] = x87Finite(-70, 90)
      result.extended[st: 1] = x87Finite(-3, 16)
    }
    plain(0xD9, pick([0xF5, 0xF8, 0xFD]))
  }

  /// The transcendental functions are compared within a unit in the last place, in the range where they are defined.
  private mutating func approximate() {
    result.extendedTolerance = PropertyTolerance(undefinedStatus: Status.c1, ulps: 1)
    // Precision and underflow of the host's last digit.
    result.extended.controlWord = 0x37F
    result.extended.statusWord &= 0x3800 | Status.conditions
  }

  mutating func x87Logarithm() {
    chooseX87State()
    approximate()
    let function: UInt8 = pick([0xF0, 0xF1, 0xF3, 0xF9])
    plain(0xD9, function)
    switch function {
    case 0xF0: result.extended[st: 0] = x87Small(-1)
    case 0xF9:
      result.extended[st: 0] = x87Small(-3)
      result.extended[st: 1] = x87Finite(-20, 20)
    case 0xF1:
      result.extended[st: 0] = x87Finite(chance(2) ? -2 : -16000, chance(2) ? 1 : 16000)
      if chance(8) { result.extended[st: 0].significand = 1 << 63 }
      result.extended[st: 1] = x87Finite(-20, 20)
    default:
      result.extended[st: 0] = x87Finite(-20, 20)
      result.extended[st: 1] = x87Finite(-20, 20)
    }
  }

  /// A value below 2^(`exponent` + 1), without those whose results are undefined.
  private mutating func x87Small(_ exponent: Int) -> PropertyX87Value {
    let value = x87Finite(-70, exponent)
    return Int(value.signAndExponent & 0x7FFF) > 16383 + exponent ? PropertyX87Value() : value
  }

  mutating func x87Trigonometry() {
    chooseX87State()
    approximate()
    result.extended[st: 0] = x87Finite(chance(2) ? -70 : -3, chance(2) ? 2 : 64)
    plain(0xD9, pick([0xF2, 0xFB, 0xFE, 0xFF]))
  }

  mutating func x87Control() {
    chooseX87State()
    switch random.next() % 6 {
    case 0: plain(0xDB, pick([0xE2, 0xE3, 0xE0, 0xE1, 0xE4]))
    case 1: plain(0xDF, 0xE0)
    case 2: x87MemoryOperand(0xD9, 5, 2)
    case 3: x87MemoryOperand(0xD9, 7, 2)
    case 4: x87MemoryOperand(0xDD, 7, 2)
    default: plain(0xDD, 0xC0 | UInt8(random.next() % 8))
    }
  }

  mutating func x87Environment() {
    chooseX87State()
    let isShort = chance(2)
    if isShort { prefix(0x66) }
    let size = isShort ? 14 : 28
    switch random.next() % 4 {
    case 0: x87MemoryOperand(0xD9, 6, size)
    case 1: x87MemoryOperand(0xD9, 4, size)
    case 2: x87MemoryOperand(0xDD, 6, size + 80)
    default: x87MemoryOperand(0xDD, 4, size + 80)
    }
  }

  mutating func x87Wait() {
    chooseX87State()
    plain(0x9B)
  }
}

// MARK: FXSAVE and XSAVE

extension PropertyBuilder {
  /// A state of which some components are in their initial configuration.
  private mutating func chooseExtendedState() {
    if chance(2) { chooseX87State() }
    if chance(2) {
      result.extended.mxcsr = 0x1F80 ^ UInt32(random.next() & 0xFFFF)
      for register in 0..<16 where chance(2) {
        for word in 0..<2 { result.extended[ymm: register, word] = random.value() }
      }
    }
    guard chance(2) else { return }
    for register in 0..<16 where chance(2) {
      for word in 2..<4 { result.extended[ymm: register, word] = random.value() }
    }
  }

  /// An area in the data, aligned but now and then, that `image` is copied to.
  private mutating func chooseArea(_ image: PropertyExtendedState, _ alignment: UInt64) {
    isMemory = true
    let offset = 0x800 + random.next() % 0x1000
    address = PropertyLayout.data + offset / alignment * alignment
    if chance(20) { address += 16 }
    if chance(20) { address += 4 }
    encodeMemory()
    for offset in stride(from: 0, to: PropertyExtendedState.size, by: 8) {
      patch(address &+ UInt64(offset), image[offset], 8)
    }
  }

  mutating func fxsave() {
    chooseExtendedState()
    var other = self
    other.chooseExtendedState()
    random = other.random
    plain(0x0F, 0xAE)
    digit(pick([0, 1]))
    if chance(2) { widen() }
    var image = other.result.extended
    if chance(10) { image.mxcsr |= 1 << 16 }
    chooseArea(image, 16)
  }

  mutating func moveMXCSR() {
    chooseExtendedState()
    plain(0x0F, 0xAE)
    digit(pick([2, 3]))
    chooseMemory(span: 4)
    if chance(2) { patch(address, random.next() & 0xFFFF, 4) }
  }

  /// One of Group 15's `group`, or without one XSAVEC.
  mutating func xsave(group: [UInt8]) {
    chooseExtendedState()
    var other = self
    other.chooseExtendedState()
    random = other.random
    if group.isEmpty {
      plain(0x0F, 0xC7)
      digit(4)
    } else {
      plain(0x0F, 0xAE)
      digit(pick(group))
    }
    if chance(2) { widen() }
    set(0, chance(2) ? 7 : random.next() % 8)
    set(2, 0)
    chooseArea(header(of: other.result.extended), 64)
  }

  /// A header of the standard or the compacted format, mostly a good one.
  private mutating func header(of image: PropertyExtendedState) -> PropertyExtendedState {
    var image = image
    let present = chance(2) ? 7 : random.next() % 8
    image[512] = present
    // A host that finds MXCSR bad in the compacted format may have loaded what comes before it.
    if chance(20) {
      image.mxcsr |= 1 << 16
    } else if chance(3) {
      image[520] = 1 << 63 | (chance(4) ? random.next() % 8 : 7) as UInt64
    }
    if chance(20) { image[528] = UInt64(1) }
    if chance(20) { image[512] = UInt64(1) << 40 }
    if chance(20) { image[552] = UInt64(1) }
    return image
  }
}
