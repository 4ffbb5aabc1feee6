/// Builds a random case: chooses operands and encodes them, by the SDM's volume 2, "Instruction Format", and not by
/// the decoder under test.
struct PropertyBuilder {
  var random: PropertyRandom
  var result = PropertyCase()

  /// The operand size in bytes.
  var size = 4
  /// Whether a memory operand was chosen, and where.
  var isMemory = false
  var address: UInt64 = 0
  /// The register numbers that ModRM's reg and r/m name (r/m if it is a register).
  var reg: UInt8 = 0
  var rm: UInt8 = 0

  private var legacy: [UInt8] = []
  private var mandatory: UInt8?
  private var hasREX = false
  private var rexW = false
  private var rexR = false
  private var rexX = false
  private var rexB = false
  private var opcode: [UInt8] = []
  private var modRM: [UInt8] = []
  private var immediate: [UInt8] = []
  /// For an address relative to RIP: its displacement is known when the length is.
  private var isRelative = false
  private var hasAddressPrefix = false
  /// A base register of 64 bits that only this address depends on.
  private var spoilableBase: UInt8?
  /// VEX: map, prefix code, L and vvvv.
  private var vex: (map: UInt8, prefix: UInt8, register: UInt8)?
  /// VEX.L, and W.
  var vexL = false
  private var fixed: Set<UInt8> = []

  /// Whether the case is for 32-bit code: no REX, 32-bit addresses, and 8 registers.
  let is32Bit: Bool

  /// Whether addresses are at the last page of the data, which may not be accessible.
  let atLastPage: Bool

  init(_ name: String, _ random: PropertyRandom, is32Bit: Bool, atLastPage: Bool = false) {
    self.random = random
    self.is32Bit = is32Bit
    self.atLastPage = atLastPage
    result.name = name
    for number in 0..<16 { result.general[number] = self.random.value() }
    // RSP points into the data, so that pushes and pops have somewhere to go.
    let isAtEdge = atLastPage && chance(2)
    let stack = isAtEdge ? 0x1FE0 + self.random.next() % 64 : 0x1000 + self.random.next() % 0x1000
    result.general[4] = PropertyLayout.data + stack
    result.flags = 0x202 | self.random.next() & PropertyFlag.compared
  }

  /// The registers that hold addresses throughout a sequence, and that no instruction of it writes.
  static let addressRegisters: [UInt8] = [12, 13, 14]
  /// For an instruction of a sequence, the place of its first byte.
  private var start = PropertyLayout.instruction
  private(set) var isInSequence = false

  /// One more instruction behind those of `sequence`, in 64-bit mode.
  init(behind sequence: PropertyCase, _ random: PropertyRandom) {
    self.random = random
    is32Bit = false
    atLastPage = false
    isInSequence = true
    result = sequence
    result.code = []
    result.undefinedFlags = 0
    start += UInt64(sequence.code.count)
  }
}

// MARK: - Choices

extension PropertyBuilder {
  mutating func chance(_ one: UInt64) -> Bool { random.next() % one == 0 }
  mutating func pick<T>(_ choices: [T]) -> T { choices[Int(random.next() % UInt64(choices.count))] }

  /// Chooses an operand size: 1, 2, 4 or 8, or those given.
  mutating func chooseSize(_ sizes: [Int] = [1, 2, 4, 8]) {
    size = pick(is32Bit ? sizes.filter { $0 != 8 } : sizes)
    if size == 2 { legacy.append(0x66) }
    if size == 8 { rexW = true }
    // REX.W beats 66H.
    if size == 8, chance(8) { legacy.append(0x66) }
    if size == 1, !is32Bit, chance(3) { hasREX = true }
  }

  /// W without 66H, for operands of 4 or 8 bytes.
  mutating func chooseWidth() {
    size = is32Bit ? 4 : pick([4, 8])
    rexW = size == 8
  }

  /// REX.W.
  mutating func widen() { rexW = !is32Bit }

  /// The opcode whose bit 0 says whether the operands are bytes.
  mutating func sized(_ bytes: UInt8...) {
    opcode = bytes
    if size != 1 { opcode[opcode.count - 1] |= 1 }
  }

  /// A 67H prefix, except where 16-bit addresses would be out of the data.
  mutating func chooseShortAddress() -> Bool {
    let isShort = !is32Bit && chance(3)
    if isShort { legacy.append(0x67) }
    return isShort
  }

  mutating func plain(_ bytes: UInt8...) { opcode = bytes }
  /// REX.W or VEX.W.
  mutating func setWide(_ isWide: Bool) { rexW = isWide }
  /// The opcode of map 1, 2 or 3.
  mutating func opcode(map: UInt8, _ byte: UInt8) {
    opcode = [[0x0F], [0x0F, 0x38], [0x0F, 0x3A]][Int(map) - 1] + [byte]
  }
  mutating func mandatoryPrefix(_ prefix: UInt8) { mandatory = prefix }
  mutating func prefix(_ prefix: UInt8) { legacy.append(prefix) }

  /// Encodes with VEX: `prefix` is 0 for none, 1 for 66H, 2 for F3H, 3 for F2H.
  mutating func useVEX(map: UInt8, prefix: UInt8, register: UInt8, _ opcodeByte: UInt8) {
    vex = (map, prefix, register)
    opcode = [opcodeByte]
    legacy = []
    hasREX = false
  }

  /// Gives a register a value, and keeps it from being used as a base or an index of another.
  mutating func set(_ register: UInt8, _ value: UInt64) {
    result.general[Int(register)] = value
    fixed.insert(register)
  }

  mutating func isSet(_ register: UInt8) -> Bool { fixed.contains(register) }

  /// Sets the value of the r/m operand, wherever it is.
  mutating func setRM(_ value: UInt64, size: Int? = nil) {
    if isMemory {
      patch(address, value, size ?? self.size)
    } else if let number = wholeRegister(rm) {
      set(number, value)
    }
  }

  mutating func patch(_ address: UInt64, _ value: UInt64, _ size: Int) {
    result.patches.append((address, value, size))
  }

  /// The register in which byte register `number` lies, unless it is a high byte.
  func wholeRegister(_ number: UInt8) -> UInt8? {
    size == 1 && !needsREX && vex == nil && (4...7).contains(number) ? nil : number
  }

  private var needsREX: Bool { hasREX || rexW || rexR || rexX || rexB }

  /// Chooses any register, below 8 when a REX prefix is not to appear by chance.
  mutating func anyRegister() -> UInt8 {
    let count: UInt64 = is32Bit || chance(2) ? 8 : isInSequence ? 12 : 16
    return UInt8(random.next() % count)
  }
}

// MARK: - ModRM

extension PropertyBuilder {
  /// ModRM's reg as an opcode extension.
  mutating func digit(_ value: UInt8) { reg = value }

  /// ModRM's reg as a register.
  mutating func chooseReg() { reg = anyRegister() }

  /// r/m: a register, or `span` bytes of memory.
  mutating func chooseRM(span: Int? = nil, aligned: Bool = false) {
    if chance(2) { return chooseRegisterRM() }
    chooseMemory(span: span ?? size, aligned: aligned)
  }

  mutating func chooseRegisterRM() {
    rm = anyRegister()
    encodeReg()
    rexB = rm >= 8
    modRM = [0xC0 | (reg & 7) << 3 | rm & 7]
  }

  private mutating func encodeReg() { rexR = reg >= 8 }

  /// Chooses an address of `span` bytes in the data, often across a cache line or a page, and how to write it.
  mutating func chooseMemory(span: Int, aligned: Bool = false) {
    isMemory = true
    address = dataAddress(span, aligned)
    if chance(2) { patch(address, random.value(), min(span, 8)) }
    encodeMemory()
  }

  mutating func dataAddress(_ span: Int, _ aligned: Bool = false) -> UInt64 {
    let alignment: UInt64 = aligned ? UInt64(span) : 1
    let boundary: UInt64 = aligned ? 0 : pick([0, 0, 64, 4096])
    if atLastPage, !aligned { return PropertyLayout.data + 0x1FE0 + random.next() % 64 }
    // Room on both sides for bit offsets and string elements.
    var offset = 0x800 + random.next() % 0x1000
    if boundary != 0 { offset = (offset / boundary + 1) * boundary - random.next() % UInt64(max(span, 1)) }
    return PropertyLayout.data + offset / alignment * alignment
  }

  /// Writes `address` as some address of the 64-bit forms.
  mutating func encodeMemory() {
    encodeReg()
    if vex == nil || chance(2) { hasAddressPrefix = !is32Bit && chance(6) }
    if hasAddressPrefix { legacy.append(0x67) }
    switch random.next() % 8 {
    case 0: encodeRelative()
    case 1: encodeDirect()
    case _ where isInSequence: encodeBase()
    case 2...4: encodeBase()
    default: encodeBaseAndIndex()
    }
  }

  private mutating func encodeRelative() {
    isRelative = !is32Bit
    modRM = [(reg & 7) << 3 | 5] + littleEndian(address, 4)
  }

  private mutating func encodeDirect() {
    modRM = [(reg & 7) << 3 | 4, 0x25] + littleEndian(address, 4)
  }

  private mutating func encodeBase() {
    let base = baseRegister()
    rexB = base >= 8
    let (mod, displacement, bytes) = displacement(base)
    placeBase(base, address &- displacement)
    let needsSIB = base & 7 == 4
    modRM = [mod << 6 | (reg & 7) << 3 | base & 7] + (needsSIB ? [0x24] : []) + bytes
  }

  private mutating func encodeBaseAndIndex() {
    let base = baseRegister()
    var index = anyRegister()
    while index == 4 || index == base || fixed.contains(index) { index = anyRegister() }
    rexB = base >= 8
    rexX = index >= 8
    let scale = UInt8(random.next() % 4)
    // RSP has its value already, and only the displacement is left to reach the address.
    if base == 4 { result.general[Int(index)] &= 0xFF }
    let offset = result.general[Int(index)] << UInt64(scale)
    fixed.insert(index)
    address &-= offset
    let (mod, displacement, bytes) = displacement(base)
    placeBase(base, address &- displacement)
    address &+= offset
    modRM = [mod << 6 | (reg & 7) << 3 | 4, scale << 6 | (index & 7) << 3 | base & 7] + bytes
  }

  /// Whether the address has 32 bits in 64-bit code.
  var hasShortAddress: Bool { hasAddressPrefix }

  /// An address in the middle of the data, with a vector of indices.
  mutating func encodeVectorAddress(index: UInt8) {
    encodeReg()
    var base = baseRegister()
    while base == 4 { base = baseRegister() }
    rexB = base >= 8
    rexX = index >= 8
    set(base, PropertyLayout.data + 0x1800)
    let scale = UInt8(random.next() % 3)
    modRM = [0x44 | (reg & 7) << 3, scale << 6 | (index & 7) << 3 | base & 7, UInt8(random.next() & 0xFF)]
  }

  /// A base register that has no value yet, or RSP.
  private mutating func baseRegister() -> UInt8 {
    if isInSequence { return pick(Self.addressRegisters) }
    var base = anyRegister()
    while fixed.contains(base) { base = anyRegister() }
    return base
  }

  /// A displacement for `base`, the mod field that it takes, and its bytes.
  private mutating func displacement(_ base: UInt8) -> (mod: UInt8, value: UInt64, bytes: [UInt8]) {
    if base == 4 || isInSequence {
      let value = address &- result.general[Int(base)]
      return (2, UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: value))), littleEndian(value, 4))
    }
    switch random.next() % 3 {
    case 0 where base & 7 != 5: return (0, 0, [])
    case 1:
      let value = Int8(truncatingIfNeeded: random.next())
      return (1, UInt64(bitPattern: Int64(value)), [UInt8(bitPattern: value)])
    default:
      let value = Int32(truncatingIfNeeded: random.next())
      return (2, UInt64(bitPattern: Int64(value)), littleEndian(UInt64(bitPattern: Int64(value)), 4))
    }
  }

  /// With 32-bit addresses, the upper half of the registers is of no matter.
  private mutating func placeBase(_ base: UInt8, _ value: UInt64) {
    fixed.insert(base)
    if base == 4 || isInSequence { return }
    if !hasAddressPrefix, !is32Bit { spoilableBase = base }
    let garbage = hasAddressPrefix ? random.next() << 32 : 0
    result.general[Int(base)] = hasAddressPrefix ? value & 0xFFFF_FFFF | garbage : value
  }

  /// Makes the address non-canonical, if its form lets it.
  mutating func spoilAddress() {
    guard let base = spoilableBase else { return }
    result.general[Int(base)] ^= 1 << 50
  }

  /// REX.B for a register in the opcode.
  mutating func extendRegister() { rexB = !is32Bit }

  mutating func lock() { legacy.append(0xF0) }
}

// MARK: - Immediates and assembly

extension PropertyBuilder {
  /// An immediate of `count` bytes; returns its value, sign-extended.
  @discardableResult
  mutating func chooseImmediate(_ count: Int) -> UInt64 {
    let value = random.value()
    setImmediate(value, count)
    let shift = UInt64(64 - count * 8)
    return UInt64(bitPattern: Int64(bitPattern: value << shift) >> Int64(shift))
  }

  mutating func setImmediate(_ value: UInt64, _ count: Int) { immediate = littleEndian(value, count) }

  private func littleEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
  }

  /// The case with its bytes.
  mutating func finish() -> PropertyCase {
    var bytes = legacy.shuffled(using: &random)
    if let mandatory { bytes.append(mandatory) }
    if let vex {
      bytes += [0xC4, vexSecond(vex.map), vexThird(vex.register, vex.prefix)]
    } else if needsREX {
      bytes.append(rex)
    }
    bytes += opcode + modRM + immediate
    if isRelative {
      let next = start + UInt64(bytes.count)
      let at = bytes.count - immediate.count - 4
      bytes.replaceSubrange(at..<(at + 4), with: littleEndian(address &- next, 4))
    }
    result.code = bytes
    if is32Bit { result.general = result.general.map { $0 & 0xFFFF_FFFF } }
    return result
  }

  private var rex: UInt8 { 0x40 | bit(rexW, 3) | bit(rexR, 2) | bit(rexX, 1) | bit(rexB, 0) }

  private func vexSecond(_ map: UInt8) -> UInt8 {
    map | (bit(rexR, 7) | bit(rexX, 6) | bit(rexB, 5)) ^ 0xE0
  }

  private func vexThird(_ register: UInt8, _ prefix: UInt8) -> UInt8 {
    bit(rexW, 7) | bit(vexL, 2) | (~register & 15) << 3 | prefix
  }

  private func bit(_ value: Bool, _ position: UInt8) -> UInt8 { value ? 1 << position : 0 }
}

/// Random values with a fixed seed, of which many are at the edges of the operand sizes.
struct PropertyRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed | 1 }

  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_F491_4F6C_DD1D
  }

  mutating func value() -> UInt64 {
    let bits = next()
    switch bits >> 60 {
    case 0: return 0
    case 1: return .max
    case 2: return bits & 0xFF
    case 3: return 0 &- (bits & 0xFF)
    // A power of two, and what is one less or more.
    case 4: return 1 << (bits & 63)
    case 5: return (1 << (bits & 63)) &- 1
    case 6: return 0 &- (1 << (bits & 63))
    default: return next()
    }
  }
}
