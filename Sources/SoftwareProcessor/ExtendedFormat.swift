/// The x87 FPU's double extended-precision format, with its explicit integer bit.
///
/// Source: SDM volume 1, "x87 FPU Data Types", and "Unsupported Double Extended-Precision Floating-Point Encodings and
/// Pseudo-Denormals".
extension X87Register {
  static var exponentField: UInt16 { 0x7FFF }
  static var exponentBias: Int32 { 16383 }
  private static var integerBit: UInt64 { 1 &<< 63 }

  var isNegative: Bool { signAndExponent & 0x8000 != 0 }
  var biasedExponent: UInt16 { signAndExponent & Self.exponentField }

  init(isNegative: Bool, biasedExponent: UInt16, significand: UInt64) {
    self.significand = significand
    signAndExponent = biasedExponent | (isNegative ? 0x8000 : 0)
  }

  /// What the register stands for.
  var decoded: UnroundedValue {
    let wide = UInt128(significand) &<< 64
    if biasedExponent == 0 {
      if significand == 0 { return .zero(isNegative: isNegative) }
      var value = UnroundedValue(
        normalizing: wide, exponent: 1 &- Self.exponentBias, isNegative: isNegative)
      value.isDenormal = true
      return value
    }
    if significand & Self.integerBit == 0 {
      return UnroundedValue(kind: .unsupported, isNegative: isNegative, significand: wide)
    }
    if biasedExponent == Self.exponentField {
      if significand == Self.integerBit { return .infinity(isNegative: isNegative) }
      let isQuiet = significand & 1 &<< 62 != 0
      return UnroundedValue(
        kind: isQuiet ? .quietNaN : .signalingNaN, isNegative: isNegative, significand: wide)
    }
    var value = UnroundedValue(kind: .finite, isNegative: isNegative, significand: wide)
    value.exponent = Int32(biasedExponent) &- Self.exponentBias
    return value
  }

  /// `value` rounded to `precision` digits (the environment's, unless given) in the format's range.
  init(_ value: UnroundedValue, precision: Int? = nil, _ environment: inout FloatingEnvironment) {
    let limits = FormatLimits(
      precision: precision ?? environment.x87Precision, bias: Self.exponentBias)
    let rounded = environment.round(value, to: limits)
    switch rounded.kind {
    case .zero: self.init(isNegative: rounded.isNegative, biasedExponent: 0, significand: 0)
    case .finite:
      // A denormal has an exponent field of 0; the exponent that it means is that of 1.
      let isDenormal = rounded.digits & Self.integerBit == 0
      let exponent = UInt16(truncatingIfNeeded: rounded.exponent &+ Self.exponentBias) & Self.exponentField
      self.init(
        isNegative: rounded.isNegative, biasedExponent: isDenormal ? 0 : exponent,
        significand: rounded.digits)
    case .infinity:
      self.init(
        isNegative: rounded.isNegative, biasedExponent: Self.exponentField, significand: Self.integerBit)
    case .quietNaN, .signalingNaN, .unsupported:
      self.init(
        isNegative: rounded.isNegative, biasedExponent: Self.exponentField, significand: rounded.digits)
    }
  }

  /// The QNaN floating-point indefinite.
  static var indefinite: X87Register {
    X87Register(isNegative: true, biasedExponent: exponentField, significand: 3 &<< 62)
  }
}
