import InstructionDecoder

// Integer instructions that move elements within a lane. `lane` is the lane's size in bytes: 8 in MMX registers, else
// 16.
extension Vector {
  /// The result of an instruction of two vectors that ``combined(_:_:)`` does not have.
  func arranged(_ mnemonic: Mnemonic, _ b: Vector, lane: Int) -> Vector {
    let a = self
    switch mnemonic {
    case .punpcklbw: return Vector(bytes: Self.interleaved(a.bytes, b.bytes, lane, isHigh: false))
    case .punpcklwd: return Vector(words: Self.interleaved(a.words, b.words, lane / 2, isHigh: false))
    case .punpckldq, .unpcklps:
      return Vector(dwords: Self.interleaved(a.dwords, b.dwords, lane / 4, isHigh: false))
    case .punpcklqdq, .unpcklpd:
      return Vector(quads: Self.interleaved(a.quads, b.quads, lane / 8, isHigh: false))
    case .punpckhbw: return Vector(bytes: Self.interleaved(a.bytes, b.bytes, lane, isHigh: true))
    case .punpckhwd: return Vector(words: Self.interleaved(a.words, b.words, lane / 2, isHigh: true))
    case .punpckhdq, .unpckhps:
      return Vector(dwords: Self.interleaved(a.dwords, b.dwords, lane / 4, isHigh: true))
    case .punpckhqdq, .unpckhpd:
      return Vector(quads: Self.interleaved(a.quads, b.quads, lane / 8, isHigh: true))
    case .packsswb: return Self.packedBytes(a, b, lane) { UInt8(bitPattern: Int8(clamping: $0)) }
    case .packuswb: return Self.packedBytes(a, b, lane) { UInt8(clamping: $0) }
    case .packssdw: return Self.packedWords(a, b, lane) { UInt16(bitPattern: Int16(clamping: $0)) }
    case .packusdw: return Self.packedWords(a, b, lane) { UInt16(clamping: $0) }
    case .phaddw: return Vector(signedWords: Self.pairs(a.signedWords, b.signedWords, lane / 2) { $0 &+ $1 })
    case .phaddsw:
      return Vector(
        signedWords: Self.pairs(a.signedWords, b.signedWords, lane / 2) {
          Int16(clamping: Int($0) &+ Int($1))
        })
    case .phsubw: return Vector(signedWords: Self.pairs(a.signedWords, b.signedWords, lane / 2) { $0 &- $1 })
    case .phsubsw:
      return Vector(
        signedWords: Self.pairs(a.signedWords, b.signedWords, lane / 2) {
          Int16(clamping: Int($0) &- Int($1))
        })
    case .phaddd: return Vector(dwords: Self.pairs(a.dwords, b.dwords, lane / 4) { $0 &+ $1 })
    case .phsubd: return Vector(dwords: Self.pairs(a.dwords, b.dwords, lane / 4) { $0 &- $1 })
    default: return shuffledBytes(b, lane)
    }
  }

  /// The elements of the low or high halves of each lane of `count` elements, in turn.
  @inline(__always)
  private static func interleaved<S: SIMD>(_ a: S, _ b: S, _ count: Int, isHigh: Bool) -> S {
    var result = a
    let half = isHigh ? count &>> 1 : 0
    for index in 0..<S.scalarCount {
      let within = index & (count &- 1)
      let source = (index &- within &+ half &+ within &>> 1) & (S.scalarCount &- 1)
      result[index] = within & 1 == 0 ? a[source] : b[source]
    }
    return result
  }

  /// Combinations of neighbours, in each lane of `count` elements first those of `a`, then those of `b`.
  @inline(__always)
  private static func pairs<S: SIMD>(
    _ a: S, _ b: S, _ count: Int, _ combine: (S.Scalar, S.Scalar) -> S.Scalar
  ) -> S {
    var result = a
    let half = count &>> 1
    for index in 0..<S.scalarCount {
      let within = index & (count &- 1)
      let from = within < half ? a : b
      let source = (index &- within &+ 2 &* (within & (half &- 1))) & (S.scalarCount &- 1)
      result[index] = combine(from[source], from[(source &+ 1) & (S.scalarCount &- 1)])
    }
    return result
  }

  private static func packedBytes(
    _ a: Vector, _ b: Vector, _ lane: Int, _ narrow: (Int16) -> UInt8
  ) -> Vector {
    var result = Vector()
    let half = lane &>> 1
    for index in 0..<32 {
      let within = index & (lane &- 1)
      let source = (index &- within) &>> 1 &+ within & (half &- 1)
      result.bytes[index] = narrow((within < half ? a : b).signedWords[source & 15])
    }
    return result
  }

  private static func packedWords(
    _ a: Vector, _ b: Vector, _ lane: Int, _ narrow: (Int32) -> UInt16
  ) -> Vector {
    var result = Vector()
    let count = lane &>> 1
    let half = count &>> 1
    for index in 0..<16 {
      let within = index & (count &- 1)
      let source = (index &- within) &>> 1 &+ within & (half &- 1)
      result.words[index] = narrow((within < half ? a : b).signedDwords[source & 7])
    }
    return result
  }

  /// PSHUFB.
  private func shuffledBytes(_ control: Vector, _ lane: Int) -> Vector {
    var result = Vector()
    for index in 0..<32 where control.bytes[index] & 0x80 == 0 {
      let within = Int(control.bytes[index]) & (lane &- 1)
      result.bytes[index] = bytes[((index & ~(lane &- 1)) | within) & 31]
    }
    return result
  }
}

// MARK: - With an immediate

extension Vector {
  /// The result of an instruction of two vectors and an immediate.
  func arranged(_ mnemonic: Mnemonic, _ b: Vector, _ immediate: UInt64, lane: Int) -> Vector {
    switch mnemonic {
    case .shufps: return shuffledSingles(b, immediate)
    case .shufpd: return shuffledDoubles(b, immediate)
    case .palignr: return aligned(b, Int(truncatingIfNeeded: immediate & 0xFF), lane)
    case .mpsadbw: return slidingDifferenceSums(b, immediate)
    case .pblendw: return Vector(words: Self.blended(words, b.words, immediate | immediate &<< 8))
    case .blendps, .vpblendd: return Vector(dwords: Self.blended(dwords, b.dwords, immediate))
    default: return Vector(quads: Self.blended(quads, b.quads, immediate))
    }
  }

  @inline(__always)
  private static func blended<S: SIMD>(_ a: S, _ b: S, _ mask: UInt64) -> S {
    var result = a
    for index in 0..<S.scalarCount where mask &>> UInt64(truncatingIfNeeded: index) & 1 != 0 {
      result[index] = b[index]
    }
    return result
  }

  private func shuffledSingles(_ b: Vector, _ control: UInt64) -> Vector {
    var result = Vector()
    for index in 0..<8 {
      let within = index & 3
      let source = Int(truncatingIfNeeded: control &>> UInt64(truncatingIfNeeded: within &* 2) & 3)
      result.dwords[index] = (within < 2 ? self : b).dwords[(index & 4) | source]
    }
    return result
  }

  private func shuffledDoubles(_ b: Vector, _ control: UInt64) -> Vector {
    var result = Vector()
    for index in 0..<4 {
      let source = Int(truncatingIfNeeded: control &>> UInt64(truncatingIfNeeded: index) & 1)
      result.quads[index] = (index & 1 == 0 ? self : b).quads[(index & 2) | source]
    }
    return result
  }

  /// PALIGNR: in each lane, bytes of this vector before those of `b`, shifted right.
  private func aligned(_ b: Vector, _ count: Int, _ lane: Int) -> Vector {
    var result = Vector()
    for index in 0..<32 {
      let within = index & (lane &- 1)
      let source = within &+ count
      guard source < 2 &* lane else { continue }
      let from = source < lane ? b : self
      result.bytes[index] = from.bytes[(index &- within) | source & (lane &- 1)]
    }
    return result
  }

  /// MPSADBW: sums of absolute differences of four bytes of `b` and of each four in a row of this vector.
  private func slidingDifferenceSums(_ b: Vector, _ immediate: UInt64) -> Vector {
    var result = Vector()
    for lane in 0..<2 {
      let control = Int(truncatingIfNeeded: immediate &>> UInt64(truncatingIfNeeded: lane &* 3))
      let first = lane &* 16 &+ (control & 4)
      let fixed = lane &* 16 &+ (control & 3) &* 4
      for index in 0..<8 {
        var sum: UInt16 = 0
        for byte in 0..<4 {
          let left = bytes[(first &+ index &+ byte) & 31]
          let right = b.bytes[fixed &+ byte]
          sum &+= UInt16(max(left, right) &- min(left, right))
        }
        result.words[lane &* 8 &+ index] = sum
      }
    }
    return result
  }

  /// Elements of `b` where the sign bit of the mask's element is set.
  func blended(_ mnemonic: Mnemonic, _ b: Vector, by mask: Vector) -> Vector {
    switch mnemonic {
    case .pblendvb: Vector(bytes: bytes.replacing(with: b.bytes, where: mask.signedBytes .< 0))
    case .blendvps: Vector(dwords: dwords.replacing(with: b.dwords, where: mask.signedDwords .< 0))
    default: Vector(quads: quads.replacing(with: b.quads, where: mask.signedQuads .< 0))
    }
  }

  /// PSHUFD, PSHUFLW, PSHUFHW and PSHUFW, and VPERMILPS with an immediate.
  func shuffled(_ mnemonic: Mnemonic, _ control: UInt64) -> Vector {
    var result = self
    func source(_ index: Int) -> Int {
      Int(truncatingIfNeeded: control &>> UInt64(truncatingIfNeeded: (index & 3) &* 2) & 3)
    }
    switch mnemonic {
    case .pshufd, .vpermilps:
      for index in 0..<8 { result.dwords[index] = dwords[(index & 4) | source(index)] }
    default:
      let half = mnemonic == .pshufhw ? 4 : 0
      for index in 0..<16 where index & 4 == half {
        result.words[index] = words[(index & 12) | source(index)]
      }
    }
    return result
  }
}

// MARK: - Extension

extension Vector {
  /// PMOVSXxx and PMOVZXxx.
  func extended(_ mnemonic: Mnemonic) -> Vector {
    switch mnemonic {
    case .pmovsxbw: return Vector(signedWords: widened(signedBytes))
    case .pmovsxbd: return Vector(signedDwords: widened(signedBytes))
    case .pmovsxbq: return Vector(signedQuads: widened(signedBytes))
    case .pmovsxwd: return Vector(signedDwords: widened(signedWords))
    case .pmovsxwq: return Vector(signedQuads: widened(signedWords))
    case .pmovsxdq: return Vector(signedQuads: widened(signedDwords))
    case .pmovzxbw: return Vector(words: widened(bytes))
    case .pmovzxbd: return Vector(dwords: widened(bytes))
    case .pmovzxbq: return Vector(quads: widened(bytes))
    case .pmovzxwd: return Vector(dwords: widened(words))
    case .pmovzxwq: return Vector(quads: widened(words))
    default: return Vector(quads: widened(dwords))
    }
  }

  @inline(__always)
  private func widened<S: SIMD, T: SIMD>(_ source: S) -> T
  where S.Scalar: FixedWidthInteger, T.Scalar: FixedWidthInteger {
    var result = T()
    for index in 0..<T.scalarCount { result[index] = T.Scalar(truncatingIfNeeded: source[index]) }
    return result
  }
}
