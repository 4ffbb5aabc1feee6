// Arithmetic of all 128 digits, with an error of a few units of the last: what the transcendental functions are
// computed in, whose results are rounded to 64.
extension UnroundedValue {
  /// A finite value's product with another; zeros are zeros.
  func wideProduct(_ other: UnroundedValue) -> UnroundedValue {
    let isNegative = isNegative != other.isNegative
    guard kind == .finite, other.kind == .finite else { return .zero(isNegative: isNegative) }
    let product = significand.multipliedFullWidth(by: other.significand).high
    return UnroundedValue(
      normalizing: product, exponent: exponent &+ other.exponent &+ 1, isNegative: isNegative)
  }

  /// A finite value's quotient by another, not zero.
  func wideQuotient(_ divisor: UnroundedValue) -> UnroundedValue {
    let isNegative = isNegative != divisor.isNegative
    guard kind == .finite, divisor.kind == .finite else { return .zero(isNegative: isNegative) }
    // Halved, the dividend is below the divisor, whose leading digit is 1.
    let quotient = divisor.significand.dividingFullWidth((significand &>> 1, significand &<< 127)).quotient
    return UnroundedValue(
      normalizing: quotient, exponent: exponent &- divisor.exponent, isNegative: isNegative)
  }

  /// Divided by a small integer.
  func divided(by divisor: UInt128) -> UnroundedValue {
    guard kind == .finite else { return self }
    return UnroundedValue(
      normalizing: significand / max(divisor, 1), exponent: exponent, isNegative: isNegative)
  }

  func wideSum(_ other: UnroundedValue) -> UnroundedValue { FloatingEnvironment().exactSum(self, other) }
  func wideDifference(_ other: UnroundedValue) -> UnroundedValue { wideSum(other.negated) }

  var magnitude: UnroundedValue {
    var value = self
    value.isNegative = false
    return value
  }

  /// Scaled by a power of two.
  func scaled(by power: Int32) -> UnroundedValue {
    var value = self
    value.exponent &+= power
    return value
  }

  /// With something behind the last digit, so that rounding takes it for inexact.
  var inexact: UnroundedValue {
    var value = self
    value.significand |= 1
    value.isDenormal = false
    return value
  }

  /// Whether the magnitude of a finite value is greater than another's.
  func exceeds(_ other: UnroundedValue) -> Bool {
    if exponent != other.exponent { return exponent > other.exponent }
    return significand > other.significand
  }
}

// MARK: - Series

extension UnroundedValue {
  /// e^`self` − 1, of a magnitude below 1: Σ xⁿ/n!, from the last term on.
  var exponentialMinus1: UnroundedValue {
    var sum = WideConstants.one
    for divisor in stride(from: UInt128(38), to: 1, by: -1) {
      sum = WideConstants.one.wideSum(wideProduct(sum).divided(by: divisor))
    }
    return wideProduct(sum)
  }

  /// The inverse hyperbolic tangent, of a magnitude below 1/5: Σ x²ⁿ⁺¹/(2n+1).
  var inverseHyperbolicTangent: UnroundedValue { oddSeries(isAlternating: false, last: 61) }

  /// The arctangent, of a magnitude up to 1/16: Σ ±x²ⁿ⁺¹/(2n+1).
  var smallArctangent: UnroundedValue { oddSeries(isAlternating: true, last: 37) }

  private func oddSeries(isAlternating: Bool, last: UInt128) -> UnroundedValue {
    var square = wideProduct(self)
    if isAlternating { square.isNegative = true }
    var sum = WideConstants.one.divided(by: last)
    for divisor in stride(from: last - 2, through: 1, by: -2) {
      sum = WideConstants.one.divided(by: divisor).wideSum(square.wideProduct(sum))
    }
    return wideProduct(sum)
  }

  /// The sine, of a magnitude up to π/4.
  var smallSine: UnroundedValue { wideProduct(factorialSeries(first: 35)) }

  /// The cosine, likewise.
  var smallCosine: UnroundedValue { factorialSeries(first: 34) }

  /// 1 − x²/((n−1)·n)·(1 − …), n falling from `first` by 2.
  private func factorialSeries(first: UInt128) -> UnroundedValue {
    var square = wideProduct(self)
    square.isNegative = true
    var sum = WideConstants.one
    for factor in stride(from: first, to: 1, by: -2) {
      sum = WideConstants.one.wideSum(square.wideProduct(sum).divided(by: factor &* (factor &- 1)))
    }
    return sum
  }

  /// log₂ of a positive finite value.
  var binaryLogarithm: UnroundedValue {
    // The value as m × 2^e, m between √½ and √2.
    var fraction = self
    fraction.exponent = 0
    var power = exponent
    let squareRootOf2: UInt128 = 0xB504_F333_F9DE_6484_597D_89B3_754A_BE9F
    if fraction.significand > squareRootOf2 {
      fraction.exponent = -1
      power &+= 1
    }
    let one = WideConstants.one
    let ratio = fraction.wideDifference(one).wideQuotient(fraction.wideSum(one))
    return UnroundedValue(power).wideSum(ratio.logarithmOfRatio)
  }

  /// log₂((1 + s)/(1 − s)) of `self`, s.
  var logarithmOfRatio: UnroundedValue {
    inverseHyperbolicTangent.scaled(by: 1).wideProduct(WideConstants.log2OfE)
  }

  /// The arctangent of a value between 0 and 1.
  var arctangent: UnroundedValue {
    guard kind == .finite, exponent >= -4 else { return smallArctangent }
    // The nearest eighth, at most 1/16 away: atan(t) = atan(c) + atan((t − c)/(1 + t·c)).
    let fixed = significand &>> UInt128(truncatingIfNeeded: min(max(0 &- exponent, 0), 64))
    let eighths = (fixed &>> 123) &+ 1
    let nearest = min(max(Int(truncatingIfNeeded: eighths &>> 1), 1), 8)
    let base = UnroundedValue(Int64(nearest)).scaled(by: -3)
    let rest = wideDifference(base).wideQuotient(WideConstants.one.wideSum(wideProduct(base)))
    return WideConstants.arctangent(ofEighths: nearest).wideSum(rest.smallArctangent)
  }
}
