/// The range and precision of a format.
struct FormatLimits {
  /// The digits of a significand, with the integer bit.
  var precision: Int
  /// The exponents of the smallest and the largest normal values.
  var minimumExponent: Int32
  var maximumExponent: Int32

  /// The limits of a format of IEEE Standard 754, whose range is symmetric.
  @inline(__always)
  init(precision: Int, bias: Int32) {
    self.precision = precision
    minimumExponent = 1 &- bias
    maximumExponent = bias
  }
}

/// A value in a format's digits and range.
struct RoundedValue {
  var kind: UnroundedValue.Kind
  var isNegative: Bool
  /// Of a finite value. A denormal has the minimum exponent and an integer bit of 0.
  var exponent: Int32 = 0
  /// Of a finite value or a NaN: the integer bit in bit 63, and the fraction.
  var digits: UInt64 = 0
}

/// A significand cut to some digits.
private struct RoundedSignificand {
  /// Left-aligned.
  var digits: UInt64
  /// Whether rounding up gave 2: the digits are then 1 and zeros, of an exponent one higher.
  var carries = false
  var isInexact: Bool
  /// Whether the magnitude increased.
  var isIncremented = false

  @inline(__always)
  init(_ significand: UInt128, _ precision: Int, _ isNegative: Bool, _ rounding: RoundingControl) {
    let unit: UInt128 = 1 &<< UInt128(truncatingIfNeeded: 128 &- precision)
    let rest = significand & (unit &- 1)
    let kept = significand & ~(unit &- 1)
    digits = UInt64(truncatingIfNeeded: kept &>> 64)
    isInexact = rest != 0
    switch rounding {
    case .nearestEven:
      let half = unit &>> 1
      isIncremented = rest > half || (rest == half && significand & unit != 0)
    case .down: isIncremented = isInexact && isNegative
    case .up: isIncremented = isInexact && !isNegative
    case .towardZero: break
    }
    guard isIncremented else { return }
    let (sum, overflow) = kept.addingReportingOverflow(unit)
    carries = overflow
    digits = overflow ? 1 << 63 : UInt64(truncatingIfNeeded: sum &>> 64)
  }
}

// MARK: - Rounding to a format

extension FloatingEnvironment {
  /// `value` in the format, with overflow, underflow and precision raised as they are due.
  ///
  /// Source: SDM volume 1, "Numeric Overflow Exception (#O)", "Numeric Underflow Exception (#U)", "Inexact-Result
  /// (Precision) Exception (#P)".
  @inline(__always)
  mutating func round(_ value: UnroundedValue, to limits: FormatLimits) -> RoundedValue {
    guard value.kind == .finite else {
      return RoundedValue(kind: value.kind, isNegative: value.isNegative, digits: value.digits)
    }
    if value.exponent < limits.minimumExponent { return roundBelowNormal(value, limits) }
    let rounded = RoundedSignificand(value.significand, limits.precision, value.isNegative, rounding)
    let exponent = rounded.carries ? value.exponent &+ 1 : value.exponent
    if exponent > limits.maximumExponent { return overflow(value, rounded, exponent, limits) }
    note(rounded)
    return RoundedValue(
      kind: .finite, isNegative: value.isNegative, exponent: exponent, digits: rounded.digits)
  }

  @inline(__always)
  private mutating func note(_ rounded: RoundedSignificand) {
    if rounded.isInexact { raise(.precision) }
    isRoundedUp = rounded.isIncremented
  }

  /// By how much the x87 FPU moves the exponent of a result that an unmasked overflow or underflow leaves in a register.
  static var x87ExponentAdjustment: Int32 { 24576 }

  @inline(never)
  private mutating func overflow(
    _ value: UnroundedValue, _ rounded: RoundedSignificand, _ exponent: Int32, _ limits: FormatLimits
  ) -> RoundedValue {
    raise(.overflow)
    var result = RoundedValue(kind: .finite, isNegative: value.isNegative, digits: rounded.digits)
    if unmasked.contains(.overflow) {
      note(rounded)
      result.exponent = exponent &- Self.x87ExponentAdjustment
      return result
    }
    raise(.precision)
    isRoundedUp = rounding == .nearestEven || rounding == (value.isNegative ? .down : .up)
    if isRoundedUp { return RoundedValue(kind: .infinity, isNegative: value.isNegative, digits: 1 << 63) }
    result.exponent = limits.maximumExponent
    result.digits = ~0 &<< UInt64(truncatingIfNeeded: 64 &- limits.precision)
    return result
  }

  /// Rounds a value below the smallest normal one.
  @inline(never)
  private mutating func roundBelowNormal(
    _ value: UnroundedValue, _ limits: FormatLimits
  ) -> RoundedValue {
    var result = RoundedValue(kind: .finite, isNegative: value.isNegative)
    // Tininess is detected after rounding to the format's digits with an unbounded exponent.
    let unbounded = RoundedSignificand(value.significand, limits.precision, value.isNegative, rounding)
    let exponent = unbounded.carries ? value.exponent &+ 1 : value.exponent
    let isTiny = exponent < limits.minimumExponent
    if isTiny, unmasked.contains(.underflow) {
      raise(.underflow)
      note(unbounded)
      result.exponent = exponent &+ Self.x87ExponentAdjustment
      result.digits = unbounded.digits
      return result
    }
    if isTiny, flushesToZero {
      raise([.underflow, .precision])
      return RoundedValue(kind: .zero, isNegative: value.isNegative)
    }
    let shifted = value.significand.shiftedRightSticky(limits.minimumExponent &- value.exponent)
    let rounded = RoundedSignificand(shifted, limits.precision, value.isNegative, rounding)
    if isTiny, rounded.isInexact { raise(.underflow) }
    note(rounded)
    result.exponent = limits.minimumExponent
    result.digits = rounded.digits
    if rounded.digits == 0 { result.kind = .zero }
    return result
  }
}

// MARK: - Rounding to integers

extension FloatingEnvironment {
  /// The magnitude of a finite value, below 2^64, rounded to an integer; with whether that carried to 2^64.
  private mutating func roundMagnitude(
    _ value: UnroundedValue, _ rounding: RoundingControl
  ) -> (magnitude: UInt64, carries: Bool) {
    // A fixed point of 64 digits before it and 64 behind it.
    let fixed = value.significand.shiftedRightSticky(63 &- value.exponent)
    let rounded = RoundedSignificand(fixed, 64, value.isNegative, rounding)
    note(rounded)
    return (rounded.carries ? 0 : rounded.digits, rounded.carries)
  }

  /// `value` as an integer; an invalid operation gives the integer indefinite, or all ones where `T` is unsigned.
  @inline(__always)
  mutating func integer<T: FixedWidthInteger>(
    _ value: UnroundedValue, as type: T.Type, rounding: RoundingControl
  ) -> T {
    if value.kind == .zero { return 0 }
    let indefinite = T.isSigned ? T.min : T.max
    guard value.kind == .finite, value.exponent <= 63 else {
      raise(.invalidOperation)
      return indefinite
    }
    let before = (raised, isRoundedUp)
    let (magnitude, carries) = roundMagnitude(value, rounding)
    let limit = UInt64(truncatingIfNeeded: T.max) &+ (value.isNegative && T.isSigned ? 1 : 0)
    let isNegativeOfUnsigned = value.isNegative && !T.isSigned && magnitude != 0
    guard !carries, magnitude <= limit, !isNegativeOfUnsigned else {
      (raised, isRoundedUp) = before
      raise(.invalidOperation)
      return indefinite
    }
    let result = T(truncatingIfNeeded: magnitude)
    return value.isNegative ? 0 &- result : result
  }

  /// `value` rounded to an integral value, in its own format. A zero has its sign.
  mutating func roundToIntegral(_ value: UnroundedValue, rounding: RoundingControl) -> UnroundedValue {
    guard value.kind.isNumber else { return propagated(value) }
    if isX87 { noteDenormal(value, value) }
    guard value.kind == .finite, value.exponent < 63 else { return value }
    let magnitude = roundMagnitude(value, rounding).magnitude
    guard magnitude != 0 else { return .zero(isNegative: value.isNegative) }
    return UnroundedValue(normalizing: UInt128(magnitude), exponent: 127, isNegative: value.isNegative)
  }
}

// MARK: - Comparison

/// How two values compare.
enum FloatingRelation: UInt8 {
  case less, equal, greater, unordered
}

extension FloatingEnvironment {
  /// Compares; a quiet NaN is an invalid operation only if `isSignaling`.
  @inline(__always)
  mutating func relation(
    _ a: UnroundedValue, _ b: UnroundedValue, isSignaling: Bool
  ) -> FloatingRelation {
    guard a.kind.isNumber, b.kind.isNumber else {
      if isSignaling || a.kind.rawValue > UnroundedValue.Kind.quietNaN.rawValue
        || b.kind.rawValue > UnroundedValue.Kind.quietNaN.rawValue
      {
        raise(.invalidOperation)
      }
      return .unordered
    }
    noteDenormal(a, b)
    if a.kind == .zero, b.kind == .zero { return .equal }
    if a.isNegative != b.isNegative || a.kind == .zero || b.kind == .zero {
      let isLess = a.kind == .zero ? !b.isNegative : a.isNegative
      return isLess ? .less : .greater
    }
    let order = Self.magnitudeRelation(a, b)
    guard order != .equal, a.isNegative else { return order }
    return order == .less ? .greater : .less
  }

  @inline(__always)
  private static func magnitudeRelation(_ a: UnroundedValue, _ b: UnroundedValue) -> FloatingRelation {
    if a.kind != b.kind { return a.kind == .infinity ? .greater : .less }
    if a.kind == .infinity { return .equal }
    if a.exponent != b.exponent { return a.exponent < b.exponent ? .less : .greater }
    if a.significand == b.significand { return .equal }
    return a.significand < b.significand ? .less : .greater
  }
}
