/// The value of a vector or MMX register, seen as elements of any size: 256 bits, of which an instruction uses the low
/// 64, 128 or all.
///
/// Instructions of 256 bits do mostly what those of 128 do, in each 128-bit lane.
struct Vector: Equatable {
  var quads: SIMD4<UInt64>

  @inline(__always)
  init(quads: SIMD4<UInt64>) { self.quads = quads }
  @inline(__always)
  init() { quads = .zero }
  /// `low` and zeros.
  @inline(__always)
  init(_ low: UInt64, _ high: UInt64 = 0) { quads = SIMD4(low, high, 0, 0) }
  @inline(__always)
  init(bytes: SIMD32<UInt8>) { quads = unsafeBitCast(bytes, to: SIMD4<UInt64>.self) }
  @inline(__always)
  init(words: SIMD16<UInt16>) { quads = unsafeBitCast(words, to: SIMD4<UInt64>.self) }
  @inline(__always)
  init(dwords: SIMD8<UInt32>) { quads = unsafeBitCast(dwords, to: SIMD4<UInt64>.self) }
  @inline(__always)
  init(signedBytes: SIMD32<Int8>) { quads = unsafeBitCast(signedBytes, to: SIMD4<UInt64>.self) }
  @inline(__always)
  init(signedWords: SIMD16<Int16>) { quads = unsafeBitCast(signedWords, to: SIMD4<UInt64>.self) }
  @inline(__always)
  init(signedDwords: SIMD8<Int32>) { quads = unsafeBitCast(signedDwords, to: SIMD4<UInt64>.self) }
  @inline(__always)
  init(signedQuads: SIMD4<Int64>) { quads = unsafeBitCast(signedQuads, to: SIMD4<UInt64>.self) }
}

extension Vector {
  @inline(__always)
  var bytes: SIMD32<UInt8> {
    get { unsafeBitCast(quads, to: SIMD32<UInt8>.self) }
    set { self = Vector(bytes: newValue) }
  }
  @inline(__always)
  var words: SIMD16<UInt16> {
    get { unsafeBitCast(quads, to: SIMD16<UInt16>.self) }
    set { self = Vector(words: newValue) }
  }
  @inline(__always)
  var dwords: SIMD8<UInt32> {
    get { unsafeBitCast(quads, to: SIMD8<UInt32>.self) }
    set { self = Vector(dwords: newValue) }
  }
  @inline(__always)
  var signedBytes: SIMD32<Int8> { unsafeBitCast(quads, to: SIMD32<Int8>.self) }
  @inline(__always)
  var signedWords: SIMD16<Int16> { unsafeBitCast(quads, to: SIMD16<Int16>.self) }
  @inline(__always)
  var signedDwords: SIMD8<Int32> { unsafeBitCast(quads, to: SIMD8<Int32>.self) }
  @inline(__always)
  var signedQuads: SIMD4<Int64> { unsafeBitCast(quads, to: SIMD4<Int64>.self) }

  /// 128-bit lane `index` as two words.
  @inline(__always)
  subscript(lane index: Int) -> SIMD2<UInt64> {
    get { index & 1 == 0 ? quads.lowHalf : quads.highHalf }
    set { if index & 1 == 0 { quads.lowHalf = newValue } else { quads.highHalf = newValue } }
  }

  /// The low `count` bytes (1, 2, 4, 8, 16 or 32), zero-extended.
  @inline(__always)
  func truncated(_ count: UInt8) -> Vector {
    switch count {
    case 32: return self
    case 16: return Vector(quads[0], quads[1])
    case 8: return Vector(quads[0])
    default: return Vector(quads[0] & OperandSize(count).mask)
    }
  }
}

/// The elements of a combination of two vectors, element by element.
@inline(__always)
func elements<S: SIMD>(_ a: S, _ b: S, _ combine: (S.Scalar, S.Scalar) -> S.Scalar) -> S {
  var result = a
  for index in 0..<S.scalarCount { result[index] = combine(a[index], b[index]) }
  return result
}

/// Ones where a comparison holds.
@inline(__always)
func ones<S: SIMD>(_ mask: SIMDMask<S.MaskStorage>, _ type: S.Type) -> S
where S.Scalar: FixedWidthInteger {
  S.zero.replacing(with: S(repeating: ~0), where: mask)
}
