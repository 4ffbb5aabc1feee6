import InstructionDecoder

// Integer instructions whose elements are independent of each other: SDM volume 2 at each instruction.
extension Vector {
  /// The result of an instruction of two vectors, destination first; nil if ``arranged(_:_:lane:)`` has it.
  @inline(__always)
  func combined(_ mnemonic: Mnemonic, _ b: Vector) -> Vector? {
    let a = self
    switch mnemonic {
    case .pand, .andps, .andpd: return Vector(quads: a.quads & b.quads)
    case .pandn, .andnps, .andnpd: return Vector(quads: ~a.quads & b.quads)
    case .por, .orps, .orpd: return Vector(quads: a.quads | b.quads)
    case .pxor, .xorps, .xorpd: return Vector(quads: a.quads ^ b.quads)
    case .paddb: return Vector(bytes: a.bytes &+ b.bytes)
    case .paddw: return Vector(words: a.words &+ b.words)
    case .paddd: return Vector(dwords: a.dwords &+ b.dwords)
    case .paddq: return Vector(quads: a.quads &+ b.quads)
    case .psubb: return Vector(bytes: a.bytes &- b.bytes)
    case .psubw: return Vector(words: a.words &- b.words)
    case .psubd: return Vector(dwords: a.dwords &- b.dwords)
    case .psubq: return Vector(quads: a.quads &- b.quads)
    case .pcmpeqb: return Vector(bytes: ones(a.bytes .== b.bytes, SIMD32<UInt8>.self))
    case .pcmpeqw: return Vector(words: ones(a.words .== b.words, SIMD16<UInt16>.self))
    case .pcmpeqd: return Vector(dwords: ones(a.dwords .== b.dwords, SIMD8<UInt32>.self))
    case .pcmpeqq: return Vector(quads: ones(a.quads .== b.quads, SIMD4<UInt64>.self))
    case .pcmpgtb: return Vector(signedBytes: ones(a.signedBytes .> b.signedBytes, SIMD32<Int8>.self))
    case .pcmpgtw: return Vector(signedWords: ones(a.signedWords .> b.signedWords, SIMD16<Int16>.self))
    case .pcmpgtd: return Vector(signedDwords: ones(a.signedDwords .> b.signedDwords, SIMD8<Int32>.self))
    case .pcmpgtq: return Vector(signedQuads: ones(a.signedQuads .> b.signedQuads, SIMD4<Int64>.self))
    case .pmullw: return Vector(words: a.words &* b.words)
    case .pmulld: return Vector(dwords: a.dwords &* b.dwords)
    default: return a.saturated(mnemonic, b) ?? a.extreme(mnemonic, b) ?? a.multiplied(mnemonic, b)
    }
  }

  /// Saturating addition and subtraction, and averages.
  private func saturated(_ mnemonic: Mnemonic, _ b: Vector) -> Vector? {
    let a = self
    switch mnemonic {
    case .paddsb:
      return Vector(
        signedBytes: elements(a.signedBytes, b.signedBytes) { Int8(clamping: Int($0) &+ Int($1)) })
    case .paddsw:
      return Vector(
        signedWords: elements(a.signedWords, b.signedWords) { Int16(clamping: Int($0) &+ Int($1)) })
    case .paddusb: return Vector(bytes: elements(a.bytes, b.bytes) { UInt8(clamping: Int($0) &+ Int($1)) })
    case .paddusw: return Vector(words: elements(a.words, b.words) { UInt16(clamping: Int($0) &+ Int($1)) })
    case .psubsb:
      return Vector(
        signedBytes: elements(a.signedBytes, b.signedBytes) { Int8(clamping: Int($0) &- Int($1)) })
    case .psubsw:
      return Vector(
        signedWords: elements(a.signedWords, b.signedWords) { Int16(clamping: Int($0) &- Int($1)) })
    case .psubusb: return Vector(bytes: elements(a.bytes, b.bytes) { UInt8(clamping: Int($0) &- Int($1)) })
    case .psubusw: return Vector(words: elements(a.words, b.words) { UInt16(clamping: Int($0) &- Int($1)) })
    case .pavgb:
      return Vector(
        bytes: elements(a.bytes, b.bytes) { UInt8(truncatingIfNeeded: (UInt($0) &+ UInt($1) &+ 1) &>> 1) })
    case .pavgw:
      return Vector(
        words: elements(a.words, b.words) { UInt16(truncatingIfNeeded: (UInt($0) &+ UInt($1) &+ 1) &>> 1) })
    default: return nil
    }
  }

  /// Minima and maxima, and PSIGN.
  private func extreme(_ mnemonic: Mnemonic, _ b: Vector) -> Vector? {
    let a = self
    switch mnemonic {
    case .pminub: return Vector(bytes: pointwiseMin(a.bytes, b.bytes))
    case .pminuw: return Vector(words: pointwiseMin(a.words, b.words))
    case .pminud: return Vector(dwords: pointwiseMin(a.dwords, b.dwords))
    case .pminsb: return Vector(signedBytes: pointwiseMin(a.signedBytes, b.signedBytes))
    case .pminsw: return Vector(signedWords: pointwiseMin(a.signedWords, b.signedWords))
    case .pminsd: return Vector(signedDwords: pointwiseMin(a.signedDwords, b.signedDwords))
    case .pmaxub: return Vector(bytes: pointwiseMax(a.bytes, b.bytes))
    case .pmaxuw: return Vector(words: pointwiseMax(a.words, b.words))
    case .pmaxud: return Vector(dwords: pointwiseMax(a.dwords, b.dwords))
    case .pmaxsb: return Vector(signedBytes: pointwiseMax(a.signedBytes, b.signedBytes))
    case .pmaxsw: return Vector(signedWords: pointwiseMax(a.signedWords, b.signedWords))
    case .pmaxsd: return Vector(signedDwords: pointwiseMax(a.signedDwords, b.signedDwords))
    case .psignb: return Vector(signedBytes: elements(a.signedBytes, b.signedBytes) { $0 &* $1.signum() })
    case .psignw: return Vector(signedWords: elements(a.signedWords, b.signedWords) { $0 &* $1.signum() })
    case .psignd: return Vector(signedDwords: elements(a.signedDwords, b.signedDwords) { $0 &* $1.signum() })
    default: return nil
    }
  }

  /// Products, and sums of them or of differences.
  private func multiplied(_ mnemonic: Mnemonic, _ b: Vector) -> Vector? {
    let a = self
    switch mnemonic {
    case .pmulhw:
      return Vector(
        signedWords: elements(a.signedWords, b.signedWords) {
          Int16(truncatingIfNeeded: (Int32($0) &* Int32($1)) &>> 16)
        })
    case .pmulhuw:
      return Vector(
        words: elements(a.words, b.words) { UInt16(truncatingIfNeeded: (UInt32($0) &* UInt32($1)) &>> 16) })
    case .pmulhrsw:
      return Vector(
        signedWords: elements(a.signedWords, b.signedWords) {
          Int16(truncatingIfNeeded: ((Int32($0) &* Int32($1)) &>> 14 &+ 1) &>> 1)
        })
    case .pmuludq:
      return Vector(quads: (a.quads & 0xFFFF_FFFF) &* (b.quads & 0xFFFF_FFFF))
    case .pmuldq:
      return Vector(
        signedQuads: elements(a.signedQuads, b.signedQuads) {
          Int64(Int32(truncatingIfNeeded: $0)) &* Int64(Int32(truncatingIfNeeded: $1))
        })
    case .pmaddwd: return a.pairProductSums(b)
    case .pmaddubsw: return a.saturatedPairProductSums(b)
    case .psadbw: return a.differenceSums(b)
    default: return nil
    }
  }

  private func pairProductSums(_ b: Vector) -> Vector {
    var result = Vector()
    for index in 0..<8 {
      let first = Int32(signedWords[2 &* index]) &* Int32(b.signedWords[2 &* index])
      let second = Int32(signedWords[2 &* index &+ 1]) &* Int32(b.signedWords[2 &* index &+ 1])
      result.dwords[index] = UInt32(bitPattern: first &+ second)
    }
    return result
  }

  /// Unsigned bytes by signed ones.
  private func saturatedPairProductSums(_ b: Vector) -> Vector {
    var result = Vector()
    for index in 0..<16 {
      let first = Int32(bytes[2 &* index]) &* Int32(b.signedBytes[2 &* index])
      let second = Int32(bytes[2 &* index &+ 1]) &* Int32(b.signedBytes[2 &* index &+ 1])
      result.words[index] = UInt16(bitPattern: Int16(clamping: first &+ second))
    }
    return result
  }

  /// PSADBW: in each 8 bytes the sum of the absolute differences.
  private func differenceSums(_ b: Vector) -> Vector {
    var result = Vector()
    for quad in 0..<4 {
      var sum: UInt64 = 0
      for index in (quad &* 8)..<(quad &* 8 &+ 8) {
        sum &+= UInt64(max(bytes[index], b.bytes[index]) &- min(bytes[index], b.bytes[index]))
      }
      result.quads[quad] = sum
    }
    return result
  }

  /// PABSx.
  func absolute(_ mnemonic: Mnemonic) -> Vector {
    switch mnemonic {
    case .pabsb:
      Vector(signedBytes: elements(signedBytes, signedBytes) { value, _ in value < 0 ? 0 &- value : value })
    case .pabsw:
      Vector(signedWords: elements(signedWords, signedWords) { value, _ in value < 0 ? 0 &- value : value })
    default:
      Vector(
        signedDwords: elements(signedDwords, signedDwords) { value, _ in value < 0 ? 0 &- value : value })
    }
  }

  /// PHMINPOSUW: the smallest word, and its index in the next one.
  var smallestWord: Vector {
    var best = 0
    for index in 1..<8 where words[index] < words[best] { best = index }
    return Vector(UInt64(words[best]) | UInt64(truncatingIfNeeded: best) &<< 16)
  }
}

// MARK: - Shifts

extension Vector {
  /// Every element shifted by `count`, or for the last two every lane by so many bytes.
  func shifted(_ mnemonic: Mnemonic, by count: UInt64) -> Vector {
    switch mnemonic {
    case .psllw: return count > 15 ? Vector() : Vector(words: words &<< UInt16(truncatingIfNeeded: count))
    case .pslld: return count > 31 ? Vector() : Vector(dwords: dwords &<< UInt32(truncatingIfNeeded: count))
    case .psllq: return count > 63 ? Vector() : Vector(quads: quads &<< count)
    case .psrlw: return count > 15 ? Vector() : Vector(words: words &>> UInt16(truncatingIfNeeded: count))
    case .psrld: return count > 31 ? Vector() : Vector(dwords: dwords &>> UInt32(truncatingIfNeeded: count))
    case .psrlq: return count > 63 ? Vector() : Vector(quads: quads &>> count)
    case .psraw: return Vector(signedWords: signedWords &>> Int16(truncatingIfNeeded: min(count, 15)))
    case .psrad: return Vector(signedDwords: signedDwords &>> Int32(truncatingIfNeeded: min(count, 31)))
    case .pslldq: return shiftedLanes(Int(truncatingIfNeeded: min(count, 16)))
    default: return shiftedLanes(0 &- Int(truncatingIfNeeded: min(count, 16)))
    }
  }

  /// Each lane shifted left by `count` bytes, or right if it is negative.
  private func shiftedLanes(_ count: Int) -> Vector {
    var result = Vector()
    for index in 0..<32 {
      let source = (index & 15) &- count
      if source >= 0, source < 16 { result.bytes[index] = bytes[(index & 16) &+ source] }
    }
    return result
  }

  /// VPSLLVx, VPSRLVx and VPSRAVD: every element by its own count.
  func shifted(_ mnemonic: Mnemonic, byEach counts: Vector, size: UInt8) -> Vector {
    let a = self
    switch (mnemonic, size) {
    case (.vpsllv, 8): return Vector(quads: elements(a.quads, counts.quads) { $0 << $1 })
    case (.vpsllv, _): return Vector(dwords: elements(a.dwords, counts.dwords) { $0 << $1 })
    case (.vpsrlv, 8): return Vector(quads: elements(a.quads, counts.quads) { $0 >> $1 })
    case (.vpsrlv, _): return Vector(dwords: elements(a.dwords, counts.dwords) { $0 >> $1 })
    default:
      return Vector(
        dwords: elements(a.dwords, counts.dwords) {
          UInt32(bitPattern: Int32(bitPattern: $0) &>> Int32(truncatingIfNeeded: min($1, 31)))
        })
    }
  }
}
