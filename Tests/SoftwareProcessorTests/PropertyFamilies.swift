/// A family of instructions, and how to make a random one of it.
struct PropertyFamily: Sendable {
  var name: String
  /// The feature that the host must have, by the name of /proc/cpuinfo.
  var feature: Substring?
  /// Whether an instruction of it accesses memory in several parts, of which some may be over when it faults.
  var storesInParts = false
  var build: @Sendable (inout PropertyBuilder) -> Void

  init(
    _ name: String, feature: Substring? = nil, storesInParts: Bool = false,
    _ build: @escaping @Sendable (inout PropertyBuilder) -> Void
  ) {
    self.name = name
    self.feature = feature
    self.storesInParts = storesInParts
    self.build = build
  }

  static let all: [PropertyFamily] = integer + bits + movement + control + extensions

  /// What there is in 32-bit code only.
  static let legacy = [
    PropertyFamily("DAA, DAS, AAA, AAS") { $0.adjustDecimal() },
    PropertyFamily("AAM, AAD") { $0.adjustByBase() },
    PropertyFamily("INC, DEC of a register") { $0.countRegister() },
    PropertyFamily("PUSHA, POPA") { $0.pushAll() },
    PropertyFamily("BOUND") { $0.bound() },
    PropertyFamily("ARPL") { $0.adjustPrivilege() },
    PropertyFamily("LEA of 16-bit addresses") { $0.loadShortAddress() },
  ]

  /// Those that can stand in a sequence: they do not fault, and what they leave undefined depends on no register.
  static let sequential: [PropertyFamily] = [
    PropertyFamily("") { $0.arithmeticRegister() },
    PropertyFamily("") { $0.arithmeticImmediate() },
    PropertyFamily("") { $0.arithmeticAccumulator() },
    PropertyFamily("") { $0.test() },
    PropertyFamily("") { $0.unary() },
    PropertyFamily("") { $0.shift() },
    PropertyFamily("") { $0.doubleShift() },
    PropertyFamily("") { $0.byteSwap() },
    PropertyFamily("") { $0.moveRegister() },
    PropertyFamily("") { $0.moveRegister() },
    PropertyFamily("") { $0.moveImmediate() },
    PropertyFamily("") { $0.moveExtended() },
    PropertyFamily("") { $0.loadAddress() },
    PropertyFamily("") { $0.conditionalMove() },
    PropertyFamily("") { $0.setByte() },
    PropertyFamily("") { $0.noOperation() },
    PropertyFamily("") { $0.jumpToNext() },
    PropertyFamily("") { $0.jumpToNext() },
    PropertyFamily("") { $0.jumpToNext() },
  ]

  static let integer = [
    PropertyFamily("ADD…CMP r/m, r") { $0.arithmeticRegister() },
    PropertyFamily("ADD…CMP r/m, imm") { $0.arithmeticImmediate() },
    PropertyFamily("ADD…CMP acc, imm") { $0.arithmeticAccumulator() },
    PropertyFamily("TEST") { $0.test() },
    PropertyFamily("NOT, NEG, INC, DEC") { $0.unary() },
    PropertyFamily("MUL, IMUL, DIV, IDIV") { $0.multiplyDivide() },
    PropertyFamily("IMUL r, r/m") { $0.multiplyRegister() },
    PropertyFamily("XADD, XCHG, CMPXCHG") { $0.exchange() },
    PropertyFamily("CMPXCHG8B, CMPXCHG16B") { $0.compareExchangePair() },
    PropertyFamily("CBW, CWD, LAHF, flags") { $0.withoutOperands() },
  ]

  static let bits = [
    PropertyFamily("shifts and rotates") { $0.shift() },
    PropertyFamily("SHLD, SHRD") { $0.doubleShift() },
    PropertyFamily("BT… r/m, r") { $0.bitTestRegister() },
    PropertyFamily("BT… r/m, imm") { $0.bitTestImmediate() },
    PropertyFamily("BSF, BSR") { $0.bitScan() },
    PropertyFamily("POPCNT", feature: "popcnt") { $0.countBits([0xB8]) },
    PropertyFamily("TZCNT, LZCNT", feature: "abm") { $0.countBits([0xBC, 0xBD]) },
    PropertyFamily("BSWAP") { $0.byteSwap() },
  ]

  static let movement = [
    PropertyFamily("MOV r/m, r") { $0.moveRegister() },
    PropertyFamily("MOV imm") { $0.moveImmediate() },
    PropertyFamily("MOV moffs") { $0.moveOffset() },
    PropertyFamily("MOVZX, MOVSX, MOVSXD") { $0.moveExtended() },
    PropertyFamily("LEA") { $0.loadAddress() },
    PropertyFamily("CMOVcc") { $0.conditionalMove() },
    PropertyFamily("SETcc") { $0.setByte() },
    PropertyFamily("XLAT") { $0.translateByte() },
    PropertyFamily("strings") { $0.string() },
    PropertyFamily("PUSH, POP") { $0.pushPop() },
    PropertyFamily("ENTER, LEAVE") { $0.frame() },
    PropertyFamily("PUSHF, POPF") { $0.pushFlags() },
  ]

  static let control = [
    PropertyFamily("Jcc, JMP rel, CALL rel") { $0.relativeBranch() },
    PropertyFamily("LOOP, JCXZ") { $0.loop() },
    PropertyFamily("JMP, CALL r/m") { $0.indirectBranch() },
    PropertyFamily("RET") { $0.returnNear() },
    PropertyFamily("NOP") { $0.noOperation() },
    PropertyFamily("undefined") { $0.undefined() },
  ]

  static let extensions = [
    PropertyFamily("MOVBE", feature: "movbe") { $0.moveBigEndian() },
    PropertyFamily("CRC32", feature: "sse4_2") { $0.crc32() },
    PropertyFamily("ADCX, ADOX", feature: "adx") { $0.addWithFlag() },
    PropertyFamily("MOVNTI") { $0.moveNonTemporal() },
    PropertyFamily("ANDN, BEXTR, BLSR…", feature: "bmi1") { $0.bmi1() },
    PropertyFamily("BZHI, PDEP, PEXT, shifts, MULX", feature: "bmi2") { $0.bmi2() },
  ]
}

// MARK: Arithmetic

extension PropertyBuilder {
  /// LOCK on some memory destinations, which then do not cross a cache line: hosts may slow that down on purpose.
  private mutating func chooseLockableRM() {
    let isLocked = chance(5)
    guard isLocked else { return chooseRM() }
    chooseMemory(span: size, aligned: true)
    lock()
  }

  private mutating func undefinedAuxiliary(_ operation: UInt8) {
    // OR, AND and XOR.
    if [1, 4, 6].contains(operation) { result.undefinedFlags = PropertyFlag.af }
  }

  mutating func arithmeticRegister() {
    let operation = UInt8(random.next() % 8)
    chooseSize()
    chooseReg()
    if chance(2) {
      sized(operation << 3 | 2)
      chooseRM()
    } else {
      sized(operation << 3)
      operation == 7 ? chooseRM() : chooseLockableRM()
    }
    if chance(3) { setRM(random.value()) }
    undefinedAuxiliary(operation)
    if chance(30) { spoilAddress() }
  }

  mutating func arithmeticImmediate() {
    let operation = UInt8(random.next() % 8)
    chooseSize()
    digit(operation)
    let isShort = chance(2) && size != 1
    if isShort { plain(0x83) } else { sized(0x80) }
    operation == 7 ? chooseRM() : chooseLockableRM()
    chooseImmediate(isShort ? 1 : min(size, 4))
    undefinedAuxiliary(operation)
  }

  mutating func arithmeticAccumulator() {
    let operation = UInt8(random.next() % 8)
    chooseSize()
    sized(operation << 3 | 4)
    chooseImmediate(min(size, 4))
    undefinedAuxiliary(operation)
  }

  mutating func test() {
    chooseSize()
    result.undefinedFlags = PropertyFlag.af
    switch random.next() % 3 {
    case 0:
      sized(0x84)
      chooseReg()
      chooseRM()
    case 1:
      sized(0xA8)
      chooseImmediate(min(size, 4))
    default:
      // The SDM's /0; /1 is the same on every processor.
      sized(0xF6)
      digit(pick([0, 1]))
      chooseRM()
      chooseImmediate(min(size, 4))
    }
  }

  mutating func unary() {
    chooseSize()
    if chance(2) {
      sized(0xF6)
      digit(pick([2, 3]))
    } else {
      sized(0xFE)
      digit(pick([0, 1]))
    }
    chooseLockableRM()
    if chance(3) { setRM(random.value()) }
  }

  mutating func multiplyDivide() {
    chooseSize()
    sized(0xF6)
    digit(pick([4, 5, 6, 7]))
    chooseRM()
    setRM(random.value())
    if reg < 6 {
      result.undefinedFlags = PropertyFlag.sf | PropertyFlag.zf | PropertyFlag.af | PropertyFlag.pf
    } else {
      result.undefinedFlags = PropertyFlag.status
      prepareDividend()
    }
  }

  /// A high half that mostly does not overflow the quotient: a small one, or the sign of the low half.
  private mutating func prepareDividend() {
    guard !chance(4) else { return }
    let low = Int64(bitPattern: result.general[0])
    if size == 1 {
      let small = chance(2) ? UInt64(bitPattern: (low << 56) >> 56) : result.general[0] & 0x3FF
      if !isSet(0) { set(0, result.general[0] & ~0xFFFF | small & 0xFFFF) }
    } else if !isSet(2) {
      let shift = Int64(64 - size * 8)
      set(2, chance(2) ? UInt64(bitPattern: (low << shift) >> 63) : random.next() & 7)
    }
  }

  mutating func multiplyRegister() {
    chooseSize([2, 4, 8])
    chooseReg()
    result.undefinedFlags = PropertyFlag.sf | PropertyFlag.zf | PropertyFlag.af | PropertyFlag.pf
    switch random.next() % 3 {
    case 0:
      plain(0x0F, 0xAF)
      chooseRM()
    case 1:
      plain(0x69)
      chooseRM()
      chooseImmediate(min(size, 4))
    default:
      plain(0x6B)
      chooseRM()
      chooseImmediate(1)
    }
  }

  mutating func exchange() {
    chooseSize()
    chooseReg()
    switch random.next() % 4 {
    case 0:
      sized(0x0F, 0xC0)
      chooseLockableRM()
    case 1:
      // XCHG locks by itself.
      sized(0x86)
      if chance(2) { chooseRegisterRM() } else { chooseMemory(span: size, aligned: true) }
    case 2 where size != 1:
      plain(0x90 | UInt8(random.next() % 8))
    default:
      sized(0x0F, 0xB0)
      chooseLockableRM()
      let accumulator = result.general[0]
      if chance(2) { setRM(accumulator) }
    }
  }

  mutating func compareExchangePair() {
    chooseSize([4, 8])
    plain(0x0F, 0xC7)
    digit(1)
    set(0, random.value())
    set(2, random.value())
    chooseMemory(span: size * 2, aligned: true)
    if chance(2) { lock() }
    if chance(2) {
      patch(address, result.general[0], size)
      patch(address + UInt64(size), result.general[2], size)
    }
  }

  mutating func withoutOperands() {
    chooseSize([2, 4, 8])
    // CBW, CWD, SAHF, LAHF, CMC, CLC, STC, CLD, STD.
    plain(pick([0x98, 0x99, 0x9E, 0x9F, 0xF5, 0xF8, 0xF9, 0xFC, 0xFD]))
  }
}

extension PropertyFamily {
  /// Those that can be compared where they fault: what is stored in several parts may have been stored in part when a
  /// host's CPU faults.
  ///
  /// Of the vectors it is those up to the masked moves: where these and the rest fault, hosts go their own ways.
  static var faulting: [PropertyFamily] {
    all + (x87 + vectors.prefix { $0.name != "VMASKMOVPS, VPMASKMOVD" }).filter { !$0.storesInParts }
  }
}
