/// A binary interchange format, whose values are the encodings themselves: `Binary32.sum(a, b, &environment)`.
///
/// Source: SDM volume 1, "Floating-Point Data Types".
protocol InterchangeFormat {
  associatedtype Bits: FixedWidthInteger & UnsignedInteger
  /// The digits of a significand, with the implicit one.
  static var precision: Int { get }
}

/// Half precision.
enum Binary16: InterchangeFormat {
  typealias Bits = UInt16
  static var precision: Int { 11 }
}

/// Single precision.
enum Binary32: InterchangeFormat {
  typealias Bits = UInt32
  static var precision: Int { 24 }
}

/// Double precision.
enum Binary64: InterchangeFormat {
  typealias Bits = UInt64
  static var precision: Int { 53 }
}

// MARK: - Encodings

extension InterchangeFormat {
  @inline(__always)
  private static var exponentField: Bits { (1 &<< Bits(truncatingIfNeeded: Bits.bitWidth &- precision)) &- 1 }
  @inline(__always)
  private static var bias: Int32 { Int32(truncatingIfNeeded: exponentField &>> 1) }
  @inline(__always)
  private static var fractionMask: Bits { (1 &<< Bits(truncatingIfNeeded: precision &- 1)) &- 1 }
  @inline(__always)
  static var signBit: Bits { 1 &<< Bits(truncatingIfNeeded: Bits.bitWidth &- 1) }
  @inline(__always)
  static var limits: FormatLimits { FormatLimits(precision: precision, bias: bias) }

  /// What `bits` stand for; with `denormalsAreZeros` a denormal is a zero of its sign.
  @inline(__always)
  static func decoded(_ bits: Bits, denormalsAreZeros: Bool) -> UnroundedValue {
    let isNegative = bits & signBit != 0
    let exponent = bits &>> Bits(truncatingIfNeeded: precision &- 1) & exponentField
    let fraction = UInt128(bits & fractionMask) &<< UInt128(truncatingIfNeeded: 128 &- precision)
    if exponent == 0 {
      if fraction == 0 || denormalsAreZeros { return .zero(isNegative: isNegative) }
      var value = UnroundedValue(normalizing: fraction, exponent: 1 &- bias, isNegative: isNegative)
      value.isDenormal = true
      return value
    }
    if exponent == exponentField {
      if fraction == 0 { return .infinity(isNegative: isNegative) }
      let isQuiet = fraction & 1 &<< 126 != 0
      return UnroundedValue(
        kind: isQuiet ? .quietNaN : .signalingNaN, isNegative: isNegative, significand: fraction | 1 &<< 127)
    }
    var value = UnroundedValue(kind: .finite, isNegative: isNegative, significand: fraction | 1 &<< 127)
    value.exponent = Int32(truncatingIfNeeded: exponent) &- bias
    return value
  }

  @inline(__always)
  static func decoded(_ bits: Bits, _ environment: FloatingEnvironment) -> UnroundedValue {
    decoded(bits, denormalsAreZeros: environment.denormalsAreZeros)
  }

  /// `value` rounded to this format.
  @inline(__always)
  static func encoded(_ value: UnroundedValue, _ environment: inout FloatingEnvironment) -> Bits {
    let rounded = environment.round(value, to: limits)
    let sign = rounded.isNegative ? signBit : 0
    let shift = UInt64(truncatingIfNeeded: 64 &- precision)
    let digits = Bits(truncatingIfNeeded: rounded.digits &>> shift)
    switch rounded.kind {
    case .zero: return sign
    case .finite:
      // The integer bit adds the one that a normal value's exponent field has more than a denormal's.
      let exponent = Bits(truncatingIfNeeded: rounded.exponent &+ bias &- 1) & exponentField
      return sign | (exponent &<< Bits(truncatingIfNeeded: precision &- 1)) &+ digits
    case .infinity: return sign | exponentField &<< Bits(truncatingIfNeeded: precision &- 1)
    case .quietNaN, .signalingNaN, .unsupported:
      return sign | exponentField &<< Bits(truncatingIfNeeded: precision &- 1) | digits & fractionMask
    }
  }
}

// MARK: - Arithmetic

extension InterchangeFormat {
  static func sum(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    encoded(environment.sum(decoded(a, environment), decoded(b, environment)), &environment)
  }

  static func difference(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    encoded(environment.sum(decoded(a, environment), decoded(b, environment).negated), &environment)
  }

  static func product(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    encoded(environment.product(decoded(a, environment), decoded(b, environment)), &environment)
  }

  static func quotient(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    encoded(environment.quotient(decoded(a, environment), decoded(b, environment)), &environment)
  }

  static func squareRoot(_ a: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    encoded(environment.squareRoot(decoded(a, environment)), &environment)
  }

  /// ±(`a` × `b`) ± `c` with one rounding; of several NaNs the first in this order is returned.
  static func fusedProductSum(
    _ a: Bits, _ b: Bits, _ c: Bits, negatingProduct: Bool = false, negatingAddend: Bool = false,
    _ environment: inout FloatingEnvironment
  ) -> Bits {
    let addend = decoded(c, environment)
    let result = environment.fusedProductSum(
      decoded(a, environment), decoded(b, environment), negatingAddend ? addend.negated : addend,
      negatingProduct: negatingProduct)
    return encoded(result, &environment)
  }

  /// MINSS and the like: the second operand where either is a NaN, which is invalid, or both are zeros.
  static func minimum(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    selected(a, b, .less, &environment)
  }

  /// MAXSS and the like.
  static func maximum(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits {
    selected(a, b, .greater, &environment)
  }

  private static func selected(
    _ a: Bits, _ b: Bits, _ relation: FloatingRelation, _ environment: inout FloatingEnvironment
  ) -> Bits {
    let isFirst = Self.relation(a, b, isSignaling: true, &environment) == relation
    let result = isFirst ? a : b
    let value = decoded(result, environment)
    return value.kind == .zero ? result & signBit : result
  }

  static func relation(
    _ a: Bits, _ b: Bits, isSignaling: Bool, _ environment: inout FloatingEnvironment
  ) -> FloatingRelation {
    environment.relation(decoded(a, environment), decoded(b, environment), isSignaling: isSignaling)
  }
}

// MARK: - Conversions

extension InterchangeFormat {
  /// An integer in this format.
  static func converted<T: FixedWidthInteger>(
    _ integer: T, _ environment: inout FloatingEnvironment
  ) -> Bits {
    encoded(UnroundedValue(integer), &environment)
  }

  /// A value as an integer of type `T`, rounded as the environment says or as `rounding` does (`.towardZero` truncates).
  static func integer<T: FixedWidthInteger>(
    _ bits: Bits, as type: T.Type, rounding: RoundingControl? = nil,
    _ environment: inout FloatingEnvironment
  ) -> T {
    environment.integer(
      decoded(bits, environment), as: type, rounding: rounding ?? environment.rounding)
  }

  /// A value rounded to an integral value; `isQuiet` keeps an inexact result from being told.
  static func roundedToIntegral(
    _ bits: Bits, rounding: RoundingControl, isQuiet: Bool, _ environment: inout FloatingEnvironment
  ) -> Bits {
    let before = environment.raised
    let value = environment.roundToIntegral(decoded(bits, environment), rounding: rounding)
    if isQuiet {
      environment.raised = before.union(environment.raised.subtracting(.precision))
    }
    return encoded(value, &environment)
  }

  /// A value of another format in this one.
  static func converted<Source: InterchangeFormat>(
    _ bits: Source.Bits, from source: Source.Type, _ environment: inout FloatingEnvironment
  ) -> Bits {
    let value = source.decoded(bits, environment)
    environment.noteDenormal(value, value)
    return encoded(value.kind.isNumber ? value : environment.propagated(value), &environment)
  }
}

extension Binary32 {
  /// VCVTPH2PS: neither DAZ nor the denormal-operand exception concerns half precision.
  static func converted(half: UInt16, _ environment: inout FloatingEnvironment) -> UInt32 {
    let value = Binary16.decoded(half, denormalsAreZeros: false)
    return encoded(value.kind.isNumber ? value : environment.propagated(value), &environment)
  }
}

extension Binary16 {
  /// VCVTPS2PH: FTZ does not concern half precision.
  static func converted(
    single: UInt32, rounding: RoundingControl, _ environment: inout FloatingEnvironment
  ) -> UInt16 {
    var own = environment
    own.rounding = rounding
    own.flushesToZero = false
    let result = converted(single, from: Binary32.self, &own)
    // A host's CPU tells of a denormal operand as inexact even where an unmasked underflow would leave it exact.
    if own.unmasked.contains(.underflow), Binary32.decoded(single, environment).isDenormal {
      own.raise(.precision)
    }
    environment.raised = own.raised
    return result
  }
}
