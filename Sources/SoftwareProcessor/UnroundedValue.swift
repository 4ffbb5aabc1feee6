/// A floating-point value of any format, or a result that is yet to be rounded to one.
///
/// What lies behind the 128 digits of a result is in the last of them, as a sticky bit: no format has more than 64,
/// so rounding cannot tell the difference.
struct UnroundedValue {
  var kind: Kind
  var isNegative: Bool
  /// Whether it was a denormal (or pseudo-denormal) operand.
  var isDenormal = false
  /// The binary exponent of the significand's leading digit.
  var exponent: Int32 = 0
  /// Of a finite value or a NaN: bit 127 is the integer bit, which is 1, and the fraction follows.
  var significand: UInt128 = 0

  /// The order matters: first what can be computed with, last what is no number.
  enum Kind: UInt8 {
    case zero, finite, infinity, quietNaN, signalingNaN
    /// Pseudo-NaNs, pseudo-infinities and unnormals of the x87 format.
    case unsupported

    @inline(__always)
    var isNumber: Bool { rawValue <= Kind.infinity.rawValue }
    @inline(__always)
    var isFinite: Bool { rawValue <= Kind.finite.rawValue }
  }

  @inline(__always)
  init(kind: Kind, isNegative: Bool, significand: UInt128 = 0) {
    self.kind = kind
    self.isNegative = isNegative
    self.significand = significand
  }

  /// A finite value, not zero, whose significand is yet to be normalized: `significand` × 2^(`exponent` − 127).
  @inline(__always)
  init(normalizing significand: UInt128, exponent: Int32, isNegative: Bool) {
    let shift = Int32(truncatingIfNeeded: significand.leadingZeroBitCount)
    kind = .finite
    self.isNegative = isNegative
    self.exponent = exponent &- shift
    self.significand = significand &<< UInt128(truncatingIfNeeded: shift)
  }

  @inline(__always)
  static func zero(isNegative: Bool) -> UnroundedValue { UnroundedValue(kind: .zero, isNegative: isNegative) }

  @inline(__always)
  static func infinity(isNegative: Bool) -> UnroundedValue {
    UnroundedValue(kind: .infinity, isNegative: isNegative)
  }

  /// The QNaN floating-point indefinite (SDM volume 1, "QNaN Floating-Point Indefinite").
  static var indefinite: UnroundedValue {
    UnroundedValue(kind: .quietNaN, isNegative: true, significand: 3 << 126)
  }

  /// An integer's value.
  @inline(__always)
  init<T: FixedWidthInteger>(_ integer: T) {
    let magnitude = UInt64(truncatingIfNeeded: integer.magnitude)
    guard magnitude != 0 else {
      self = .zero(isNegative: false)
      return
    }
    self.init(normalizing: UInt128(magnitude), exponent: 127, isNegative: integer < 0)
  }

  /// The leading 64 digits.
  @inline(__always)
  var digits: UInt64 { UInt64(truncatingIfNeeded: significand &>> 64) }

  /// The same with the other sign, unless it is a NaN.
  @inline(__always)
  var negated: UnroundedValue {
    guard kind.isNumber else { return self }
    var value = self
    value.isNegative = !isNegative
    return value
  }

  /// The NaN made quiet.
  @inline(__always)
  var quieted: UnroundedValue {
    var value = self
    value.kind = .quietNaN
    value.significand |= 1 << 126
    return value
  }
}

extension UInt128 {
  /// Shifted right, with whatever falls off kept in the last bit.
  @inline(__always)
  func shiftedRightSticky(_ count: Int32) -> UInt128 {
    if count <= 0 { return self }
    if count >= 128 { return self == 0 ? 0 : 1 }
    let shift = UInt128(truncatingIfNeeded: count)
    let kept = self &>> shift
    return kept &<< shift == self ? kept : kept | 1
  }
}
