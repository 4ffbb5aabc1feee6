// The transcendental functions of the x87 FPU: their exceptions and special cases, and the finite values by
// ``WideArithmetic``'s series, with far fewer wrong digits than the unit in the last place that the SDM allows.
//
// Source: SDM volume 2 at each instruction; volume 1, "Transcendental Instruction Accuracy".
extension FloatingEnvironment {
  /// F2XM1: 2^x − 1 for x from −1 to 1; of values out of that range, which have no defined result, the value itself.
  mutating func exponentialMinus1(_ value: UnroundedValue) -> UnroundedValue {
    guard value.kind.isNumber else { return propagated(value) }
    if value.kind == .zero { return value }
    if value.kind == .infinity { return value.isNegative ? WideConstants.one.negated : value }
    noteDenormal(value, value)
    if value.exponent >= 0 {
      guard value.exponent == 0, value.significand == 1 << 127 else { return value }
      return value.isNegative ? WideConstants.one.negated.scaled(by: -1) : value
    }
    return value.wideProduct(WideConstants.ln2).exponentialMinus1.inexact
  }

  /// FYL2X: `factor` × log₂(`value`).
  mutating func logarithm(of value: UnroundedValue, times factor: UnroundedValue) -> UnroundedValue {
    guard value.kind.isNumber, factor.kind.isNumber else { return propagated(value, factor) }
    let one = WideConstants.one
    let isOne =
      value.kind == .finite && !value.isNegative && value.exponent == 0 && value.significand == 1 << 127
    if value.kind == .zero {
      if factor.kind == .zero { return invalidOperation() }
      if factor.kind == .finite { raise(.divideByZero) }
      return .infinity(isNegative: !factor.isNegative)
    }
    if value.isNegative { return invalidOperation() }
    if isOne && factor.kind == .infinity || value.kind == .infinity && factor.kind == .zero {
      return invalidOperation()
    }
    noteDenormal(value, factor)
    let isLogarithmNegative = value.kind == .finite && value.exponent < 0
    let isNegative = factor.isNegative != isLogarithmNegative
    if value.kind == .infinity || factor.kind == .infinity { return .infinity(isNegative: isNegative) }
    if isOne || factor.kind == .zero { return .zero(isNegative: isNegative) }
    // Processors do not notice that the logarithm of a power of two is exact.
    raise(.precision)
    if value.significand == one.significand {
      return Self.exactProduct(factor, UnroundedValue(value.exponent))
    }
    return value.binaryLogarithm.wideProduct(factor).inexact
  }

  /// FYL2XP1: `factor` × log₂(`value` + 1).
  mutating func logarithmPlus1(of value: UnroundedValue, times factor: UnroundedValue) -> UnroundedValue {
    guard value.kind.isNumber, factor.kind.isNumber else { return propagated(value, factor) }
    let one = WideConstants.one
    let sum = value.kind == .finite ? one.wideSum(value) : value
    if value.kind == .zero && factor.kind == .infinity || value.kind == .infinity && factor.kind == .zero {
      return invalidOperation()
    }
    if value.kind != .zero, sum.isNegative || sum.kind == .zero { return invalidOperation() }
    noteDenormal(value, factor)
    let isNegative = factor.isNegative != value.isNegative
    if value.kind == .infinity || factor.kind == .infinity { return .infinity(isNegative: isNegative) }
    if value.kind == .zero || factor.kind == .zero { return .zero(isNegative: isNegative) }
    // log₂(1 + x) = log₂((1 + s)/(1 − s)), s = x/(2 + x); the series is for small s.
    guard value.exponent < -1 else { return sum.binaryLogarithm.wideProduct(factor).inexact }
    let ratio = value.wideQuotient(one.scaled(by: 1).wideSum(value))
    return ratio.logarithmOfRatio.wideProduct(factor).inexact
  }

  // MARK: Arctangent

  /// FPATAN: the angle of the point (`x`, `y`).
  mutating func arctangent(_ y: UnroundedValue, _ x: UnroundedValue) -> UnroundedValue {
    guard x.kind.isNumber, y.kind.isNumber else { return propagated(x, y) }
    noteDenormal(x, y)
    var angle = Self.firstQuadrantAngle(y.magnitude, x.magnitude)
    if x.isNegative {
      angle = angle.kind == .zero ? WideConstants.pi.inexact : WideConstants.pi.wideDifference(angle).inexact
    }
    angle.isNegative = y.isNegative
    return angle
  }

  /// The angle of a point whose coordinates are positive or zero: from 0 to π/2.
  private static func firstQuadrantAngle(_ y: UnroundedValue, _ x: UnroundedValue) -> UnroundedValue {
    let right = WideConstants.pi.scaled(by: -1)
    if y.kind == .zero || (x.kind == .infinity && y.kind != .infinity) { return .zero(isNegative: false) }
    if x.kind == .infinity { return right.scaled(by: -1).inexact }
    if x.kind == .zero || y.kind == .infinity { return right.inexact }
    if y.exceeds(x) { return right.wideDifference(x.wideQuotient(y).arctangent).inexact }
    return y.wideQuotient(x).arctangent.inexact
  }

  // MARK: Sine and cosine

  /// The sine and cosine of a value below 2^63.
  mutating func sineAndCosine(_ value: UnroundedValue) -> (sine: UnroundedValue, cosine: UnroundedValue) {
    guard value.kind.isNumber else {
      let result = propagated(value)
      return (result, result)
    }
    if value.kind == .infinity {
      let result = invalidOperation()
      return (result, result)
    }
    if value.kind == .zero { return (value, WideConstants.one) }
    noteDenormal(value, value)
    let angle = ReducedAngle(value)
    var sine = angle.rest.smallSine
    var cosine = angle.rest.smallCosine
    if angle.quadrant & 1 != 0 { (sine, cosine) = (cosine, sine.negated) }
    if angle.quadrant & 2 != 0 { (sine, cosine) = (sine.negated, cosine.negated) }
    if value.isNegative { sine = sine.negated }
    return (sine.kind == .zero ? sine : sine.inexact, cosine.kind == .zero ? cosine : cosine.inexact)
  }
}

/// An angle reduced to between −π/4 and π/4, and the number of right angles taken away.
///
/// π has 66 digits here, as in every Intel processor: large angles have the sines of other angles.
///
/// Source: SDM volume 1, "Approximation of Pi".
private struct ReducedAngle {
  var rest: UnroundedValue
  var quadrant: UInt64 = 0

  /// π/2 in units of 2^−67.
  private static var right: UInt128 { 0xC_90FD_AA22_168C_234C }

  /// Reduces the magnitude of a finite value, not zero, below 2^63.
  init(_ value: UnroundedValue) {
    guard value.exponent >= -1 else {
      rest = value.magnitude
      return
    }
    var remainder: UInt128 = 0
    var quotient: UInt64 = 0
    // The value in the same units has its 64 digits, and zeros behind them; 128 bits do not hold it.
    let zeros = Int(value.exponent &+ 4)
    for position in 0..<(64 &+ zeros) {
      let digit = position < 64 ? value.digits &>> UInt64(63 &- position) & 1 : 0
      remainder = remainder &<< 1 | UInt128(digit)
      quotient &<<= 1
      if remainder >= Self.right {
        remainder &-= Self.right
        quotient |= 1
      }
    }
    var isNegative = false
    if remainder &<< 1 > Self.right {
      remainder = Self.right &- remainder
      quotient &+= 1
      isNegative = true
    }
    quadrant = quotient & 3
    rest =
      remainder == 0
      ? .zero(isNegative: false)
      : UnroundedValue(normalizing: remainder, exponent: 127 - 67, isNegative: isNegative)
  }
}
