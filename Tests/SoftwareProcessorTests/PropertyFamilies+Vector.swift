// MMX, SSE and AVX.

extension PropertyFamily {
  /// What the elements of vectors are.
  enum Elements: Sendable {
    case integers, floating, strings
  }

  /// With and without VEX prefixes.
  private static func both(
    _ name: String, _ feature: Substring?, _ vexFeature: Substring, _ forms: [PropertyVectorForm],
    _ elements: Elements = .integers
  ) -> [PropertyFamily] {
    [
      PropertyFamily(name, feature: feature) { $0.vector(forms, elements, isVEX: false) },
      PropertyFamily("V" + name, feature: vexFeature) { $0.vector(forms, elements, isVEX: true) },
    ]
  }

  private static func onlyVEX(
    _ name: String, _ feature: Substring, _ forms: [PropertyVectorForm], _ elements: Elements = .integers
  ) -> [PropertyFamily] {
    [PropertyFamily(name, feature: feature) { $0.vector(forms, elements, isVEX: true) }]
  }

  static let vectors: [PropertyFamily] =
    both("PADDB, PAND, PSLLW, PSHUFD…", nil, "avx2", PropertyVectorForm.integers)
    + both("PSHUFB, PMULLD, PMOVSXBW…", "sse4_2", "avx2", PropertyVectorForm.supplementalIntegers)
    + both("MOVAPS, MOVD, MOVSS, MOVMSKPS…", "pni", "avx", PropertyVectorForm.moves)
    + both("PINSRB, PEXTRB, INSERTPS…", "sse4_1", "avx2", PropertyVectorForm.elements)
    + both("ADDPS, MULSD, SQRTSS…", nil, "avx", PropertyVectorForm.arithmetic, .floating)
    + both("HADDPS, ADDSUBPD…", "pni", "avx", PropertyVectorForm.horizontal, .floating)
    + both("CMPPS, UCOMISD…", nil, "avx", PropertyVectorForm.comparisons, .floating)
    + both("ROUNDPS…", "sse4_1", "avx", PropertyVectorForm.rounding, .floating)
    + both("DPPS, DPPD", "sse4_1", "avx", PropertyVectorForm.dotProducts, .floating)
    + both("RCPPS, RSQRTPS", nil, "avx", PropertyVectorForm.approximations, .floating)
    + both("CVTPS2PD, CVTTSD2SI…", nil, "avx", PropertyVectorForm.conversions, .floating)
    + both("AESENC…", "aes", "aes", PropertyVectorForm.aes)
    + both("PCLMULQDQ", "pclmulqdq", "pclmulqdq", PropertyVectorForm.carryless)
    + both("PCMPESTRI…", "sse4_2", "avx", PropertyVectorForm.strings, .strings)
    + onlyVEX("VPERMD, VBROADCASTSS…", "avx2", PropertyVectorForm.advanced)
    + onlyVEX("VMASKMOVPS, VPMASKMOVD", "avx2", PropertyVectorForm.maskedMoves)
    + onlyVEX("VFMADD132PS…", "fma", PropertyVectorForm.fused, .floating)
    + onlyVEX("VCVTPH2PS, VCVTPS2PH", "f16c", PropertyVectorForm.half, .floating)
    + [
      PropertyFamily("PBLENDVB…", feature: "sse4_1") {
        $0.vector(PropertyVectorForm.implicitBlends, .integers, isVEX: false)
      },
      PropertyFamily("MMX", feature: "ssse3") { $0.mmx(PropertyVectorForm.mmx, .integers) },
      PropertyFamily("CVTPI2PS…") { $0.mmx(PropertyVectorForm.mmxConversions, .floating) },
      PropertyFamily("MASKMOVQ, MASKMOVDQU", storesInParts: true) { $0.maskedStore() },
      PropertyFamily("VPGATHERDD, VGATHERQPD…", feature: "avx2", storesInParts: true) { $0.gather() },
    ]
}

// MARK: States

extension PropertyBuilder {
  private mutating func chooseVectors(_ elements: PropertyFamily.Elements) {
    for register in 0..<16 {
      for word in 0..<4 { result.extended[ymm: register, word] = element(elements) }
      // Equal values.
      guard chance(8), register > 0 else { continue }
      for word in 0..<4 { result.extended[ymm: register, word] = result.extended[ymm: register - 1, word] }
    }
    guard elements == .floating else { return }
    var mxcsr: UInt32 = 0x1F80 | UInt32(random.next() & 0x3F)
    if chance(2) { mxcsr &= ~0x3F }
    if chance(2) { mxcsr |= UInt32(random.next() & 3) << 13 }
    if chance(3) { mxcsr ^= UInt32(truncatingIfNeeded: random.next()) & 0x8040 }
    if chance(4) { mxcsr ^= UInt32(truncatingIfNeeded: random.next()) & 0x1F80 }
    result.extended.mxcsr = mxcsr
  }

  /// 64 bits of elements.
  private mutating func element(_ elements: PropertyFamily.Elements) -> UInt64 {
    switch elements {
    case .integers: return random.value()
    case .strings:
      // Few different characters, so that they match, and ends.
      let mask: UInt64 = chance(2) ? 0x0303_0303_0303_0303 : 0x8181_8181_8181_8181
      return random.next() & mask & (chance(2) ? .max : random.next())
    case .floating:
      guard chance(2) else { return double() }
      return UInt64(single()) | UInt64(single()) << 32
    }
  }

  private mutating func double() -> UInt64 {
    let sign = random.next() & 1 << 63
    let fraction: UInt64 = chance(3) ? random.next() & 7 : random.next() >> 12
    switch random.next() % 16 {
    case 0: return sign
    case 1: return sign | 0x7FF << 52
    case 2: return sign | 0x7FF << 52 | fraction | 1 << (random.next() % 52)
    case 3: return sign | fraction
    case 4: return sign | (1 + random.next() % 3) << 52 | fraction
    case 5: return sign | (0x7FE - random.next() % 3) << 52 | fraction
    case 6: return random.next()
    case 7: return Double(Int32(truncatingIfNeeded: random.next()) >> Int32(random.next() % 24)).bitPattern
    // About the limits of integers and of single precision.
    case 8:
      return sign | (1023 + [31, 32, 63, 127, 128][Int(random.next() % 5)] - random.next() % 3) << 52
        | fraction
    case 9: return sign | (1023 - 126 - random.next() % 26) << 52 | fraction << 28
    default: return sign | (1023 - 12 + random.next() % 40) << 52 | (chance(3) ? fraction << 49 : fraction)
    }
  }

  private mutating func single() -> UInt32 {
    let sign = UInt32(truncatingIfNeeded: random.next()) & 1 << 31
    let fraction = chance(3) ? UInt32(random.next() & 7) : UInt32(random.next() >> 41)
    switch random.next() % 16 {
    case 0: return sign
    case 1: return sign | 0xFF << 23
    case 2: return sign | 0xFF << 23 | fraction | 1 << UInt32(random.next() % 23)
    case 3: return sign | fraction
    case 4: return sign | UInt32(1 + random.next() % 3) << 23 | fraction
    case 5: return sign | UInt32(0xFE - random.next() % 3) << 23 | fraction
    case 6: return UInt32(truncatingIfNeeded: random.next())
    case 7: return Float(Int16(truncatingIfNeeded: random.next()) >> Int16(random.next() % 12)).bitPattern
    case 8:
      return sign | UInt32(127 + [31, 32, 63, 15, 16][Int(random.next() % 5)] - random.next() % 3) << 23
        | fraction
    case 9: return sign | UInt32(127 - 12 - random.next() % 14) << 23 | fraction
    default:
      return sign | UInt32(127 - 12 + random.next() % 30) << 23
        | (chance(3) ? fraction << 20 & 0x7F_FFFF : fraction)
    }
  }
}

// MARK: Encodings

extension PropertyBuilder {
  mutating func vector(_ forms: [PropertyVectorForm], _ elements: PropertyFamily.Elements, isVEX: Bool) {
    chooseVectors(elements)
    let form = pick(forms)
    let isLong = isVEX && pick(form.lengths)
    let isWide = pick(form.widths)
    if let digit = form.digit { self.digit(digit) } else { chooseReg() }
    if form.hasImmediate { chooseImmediate(1) }
    let isMemory = chooseOperand(form.rm, isLong, isWide, isVEX: isVEX, elements)
    // In 32-bit code REX.W cannot be, and VEX.W is ignored where it is about general registers.
    if isVEX || !is32Bit { setWide(isWide) }
    guard isVEX else {
      if form.prefix != 0 { mandatoryPrefix(form.prefix) }
      return opcode(map: form.map, form.opcode)
    }
    let usesV =
      switch form.v {
      case .always: true
      case .never: false
      case .ifRegister: !isMemory
      }
    let prefixes: [UInt8: UInt8] = [0: 0, 0x66: 1, 0xF3: 2, 0xF2: 3]
    let hadAddressPrefix = hasShortAddress
    useVEX(
      map: form.map, prefix: prefixes[form.prefix] ?? 0, register: usesV ? anyRegister() : 0, form.opcode)
    if hadAddressPrefix { prefix(0x67) }
    vexL = isLong
  }

  /// Chooses r/m; returns whether it is memory.
  private mutating func chooseOperand(
    _ rm: PropertyVectorForm.RM, _ isLong: Bool, _ isWide: Bool, isVEX: Bool,
    _ elements: PropertyFamily.Elements
  ) -> Bool {
    switch rm {
    case .none: return false
    case .register, .mmxRegister:
      chooseRegisterRM()
      return false
    case .vector(let span):
      guard chance(2) else {
        chooseRegisterRM()
        return false
      }
      chooseVectorMemory(span.bytes(isLong), elements)
    case .memory(let span): chooseVectorMemory(span.bytes(isLong), elements)
    case .general(let bytes):
      guard chance(2) else {
        chooseRegisterRM()
        return false
      }
      chooseMemory(span: bytes == 0 ? (isWide && !is32Bit ? 8 : 4) : bytes)
    case .mmx(let bytes):
      guard chance(2) else {
        chooseRegisterRM()
        return false
      }
      chooseVectorMemory(bytes, elements)
    case .mmxMemory: chooseVectorMemory(8, elements)
    }
    return true
  }

  /// Memory that is mostly aligned, with elements in it.
  private mutating func chooseVectorMemory(_ span: Int, _ elements: PropertyFamily.Elements) {
    chooseMemory(span: span, aligned: !chance(6))
    for offset in stride(from: 0, to: max(span, 8), by: 8) where chance(4) == false {
      patch(address &+ UInt64(offset), element(elements), min(span, 8))
    }
  }

  /// MMX instructions also depend on, and change, the x87 state.
  mutating func mmx(_ forms: [PropertyVectorForm], _ elements: PropertyFamily.Elements) {
    chooseX87State()
    vector(forms, elements, isVEX: false)
    // Mostly without an x87 exception that comes first.
    if !chance(10) { result.extended.statusWord &= ~0x80FF }
  }

  mutating func maskedStore() {
    let isMMX = chance(2)
    if isMMX { chooseX87State() }
    chooseVectors(.integers)
    if isMMX, !chance(10) { result.extended.statusWord &= ~0x80FF }
    if !isMMX { mandatoryPrefix(0x66) }
    opcode(map: 1, 0xF7)
    chooseReg()
    chooseRegisterRM()
    set(7, dataAddress(16))
    if chooseShortAddress() { set(7, result.general[7] | random.next() << 32) }
  }

  /// Indices that reach somewhere into the data, and mostly three different registers.
  mutating func gather() {
    chooseVectors(.integers)
    let isWide = chance(2)
    chooseReg()
    let mask = anyRegister()
    var index = anyRegister()
    while index == reg || index == mask { index = anyRegister() }
    if chance(20) { index = reg }
    let hasWideIndices = chance(2)
    for word in 0..<4 {
      let first = random.next() & 0x3FF
      let second = random.next() & 0x3FF
      result.extended[ymm: Int(index), word] = hasWideIndices ? 0 &- first : first | (0 &- second) << 32
    }
    encodeVectorAddress(index: index)
    useVEX(
      map: 2, prefix: 1, register: chance(20) ? reg : mask,
      pick(hasWideIndices ? [0x91, 0x93] : [0x90, 0x92]))
    setWide(isWide)
    vexL = chance(2)
  }
}
