// Arithmetic that rounds nothing: the operations of every format, with the exceptions that are detected before a result
// is computed (SDM volume 1, "Floating-Point Exception Conditions").

// MARK: - NaNs and invalid operations

extension FloatingEnvironment {
  /// The masked response to an invalid operation.
  @inline(never)
  mutating func invalidOperation() -> UnroundedValue {
    raise(.invalidOperation)
    return .indefinite
  }

  /// The result of an operation of which at least one operand is no number: SDM volume 1, "NaNs", "Rules for Handling
  /// NaNs".
  @inline(never)
  mutating func propagated(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    if a.kind == .unsupported || b.kind == .unsupported { return invalidOperation() }
    if a.kind == .signalingNaN || b.kind == .signalingNaN { raise(.invalidOperation) }
    if a.kind.isNumber { return b.quieted }
    if b.kind.isNumber || !isX87 { return a.quieted }
    // The x87 FPU prefers a quiet NaN, then the larger significand, then the positive one.
    if a.kind != b.kind { return a.kind == .quietNaN ? a : b }
    if a.significand != b.significand { return a.significand > b.significand ? a.quieted : b.quieted }
    return a.isNegative ? b.quieted : a.quieted
  }

  /// The result of an operation of one operand that is no number.
  mutating func propagated(_ value: UnroundedValue) -> UnroundedValue { propagated(value, value) }

  @inline(__always)
  mutating func noteDenormal(_ a: UnroundedValue, _ b: UnroundedValue) {
    if a.isDenormal || b.isDenormal { raise(.denormalOperand) }
  }
}

// MARK: - Addition

extension FloatingEnvironment {
  @inline(__always)
  mutating func sum(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    guard a.kind.isNumber, b.kind.isNumber else { return propagated(a, b) }
    if a.kind == .infinity, b.kind == .infinity, a.isNegative != b.isNegative { return invalidOperation() }
    noteDenormal(a, b)
    return exactSum(a, b)
  }

  /// The sum of numbers that is not invalid.
  @inline(__always)
  func exactSum(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    guard a.kind == .finite, b.kind == .finite else { return simpleSum(a, b) }
    if a.isNegative == b.isNegative { return Self.magnitudeSum(a, b) }
    if a.exponent != b.exponent {
      return a.exponent > b.exponent ? Self.magnitudeDifference(a, b) : Self.magnitudeDifference(b, a)
    }
    // A difference of zero is positive but when rounding down.
    if a.significand == b.significand { return .zero(isNegative: rounding == .down) }
    return a.significand > b.significand ? Self.magnitudeDifference(a, b) : Self.magnitudeDifference(b, a)
  }

  /// The sum where an operand is zero or infinite.
  private func simpleSum(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    if a.kind == .infinity { return a }
    if b.kind == .infinity { return b }
    if a.kind != .zero { return a }
    if b.kind != .zero { return b }
    return a.isNegative == b.isNegative ? a : .zero(isNegative: rounding == .down)
  }

  @inline(__always)
  private static func magnitudeSum(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    let (large, small) = a.exponent >= b.exponent ? (a, b) : (b, a)
    var result = large
    let aligned = small.significand.shiftedRightSticky(large.exponent &- small.exponent)
    let (sum, carries) = large.significand.addingReportingOverflow(aligned)
    result.significand = carries ? sum.shiftedRightSticky(1) | 1 << 127 : sum
    if carries { result.exponent &+= 1 }
    return result
  }

  /// The difference of magnitudes, of which `large` is the larger.
  @inline(__always)
  private static func magnitudeDifference(
    _ large: UnroundedValue, _ small: UnroundedValue
  ) -> UnroundedValue {
    let aligned = small.significand.shiftedRightSticky(large.exponent &- small.exponent)
    return UnroundedValue(
      normalizing: large.significand &- aligned, exponent: large.exponent, isNegative: large.isNegative)
  }
}

// MARK: - Multiplication

extension FloatingEnvironment {
  @inline(__always)
  mutating func product(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    guard a.kind.isNumber, b.kind.isNumber else { return propagated(a, b) }
    if Self.isInfinityTimesZero(a, b) { return invalidOperation() }
    noteDenormal(a, b)
    return Self.exactProduct(a, b)
  }

  private static func isInfinityTimesZero(_ a: UnroundedValue, _ b: UnroundedValue) -> Bool {
    (a.kind == .infinity && b.kind == .zero) || (a.kind == .zero && b.kind == .infinity)
  }

  /// The product of numbers, not of infinity and zero, of at most 64 digits each.
  @inline(__always)
  static func exactProduct(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    let isNegative = a.isNegative != b.isNegative
    if a.kind == .infinity || b.kind == .infinity { return .infinity(isNegative: isNegative) }
    if a.kind == .zero || b.kind == .zero { return .zero(isNegative: isNegative) }
    let product = UInt128(a.digits) &* UInt128(b.digits)
    let exponent = a.exponent &+ b.exponent &+ 1
    return UnroundedValue(normalizing: product, exponent: exponent, isNegative: isNegative)
  }

  /// `a` × `b` + `c` with one rounding.
  ///
  /// Source: SDM volume 1, "Fused-Multiply-ADD (FMA) Numeric Behavior".
  @inline(__always)
  mutating func fusedProductSum(
    _ a: UnroundedValue, _ b: UnroundedValue, _ c: UnroundedValue, negatingProduct: Bool
  ) -> UnroundedValue {
    guard a.kind.isNumber, b.kind.isNumber, c.kind.isNumber else { return propagated(a, b, c) }
    if Self.isInfinityTimesZero(a, b) { return invalidOperation() }
    var product = Self.exactProduct(a, b)
    if negatingProduct { product.isNegative = !product.isNegative }
    if product.kind == .infinity, c.kind == .infinity, product.isNegative != c.isNegative {
      return invalidOperation()
    }
    noteDenormal(a, b)
    noteDenormal(c, c)
    return exactSum(product, c)
  }

  /// The first operand that is a NaN; that it hides a product of infinity and zero is not invalid.
  @inline(never)
  private mutating func propagated(
    _ a: UnroundedValue, _ b: UnroundedValue, _ c: UnroundedValue
  ) -> UnroundedValue {
    if a.kind == .signalingNaN || b.kind == .signalingNaN || c.kind == .signalingNaN {
      raise(.invalidOperation)
    }
    if !a.kind.isNumber { return a.quieted }
    return b.kind.isNumber ? c.quieted : b.quieted
  }
}

// MARK: - Division and square root

extension FloatingEnvironment {
  @inline(__always)
  mutating func quotient(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    guard a.kind.isNumber, b.kind.isNumber else { return propagated(a, b) }
    let isNegative = a.isNegative != b.isNegative
    guard a.kind == .finite, b.kind == .finite else { return simpleQuotient(a, b, isNegative) }
    noteDenormal(a, b)
    return Self.exactQuotient(a, b)
  }

  /// The quotient where an operand is zero or infinite.
  private mutating func simpleQuotient(
    _ a: UnroundedValue, _ b: UnroundedValue, _ isNegative: Bool
  ) -> UnroundedValue {
    if a.kind == b.kind { return invalidOperation() }
    if b.kind == .zero, a.kind == .finite {
      raise(.divideByZero)
      return .infinity(isNegative: isNegative)
    }
    noteDenormal(a, b)
    let isInfinite = a.kind == .infinity || b.kind == .zero
    return isInfinite ? .infinity(isNegative: isNegative) : .zero(isNegative: isNegative)
  }

  /// The quotient of finite values of at most 64 digits each.
  static func exactQuotient(_ a: UnroundedValue, _ b: UnroundedValue) -> UnroundedValue {
    let divisor = b.digits
    // Halved, the dividend is below the divisor, whose leading digit is 1: the quotients have 64 digits.
    let first = divisor.dividingFullWidth((a.digits &>> 1, a.digits &<< 63))
    let second = divisor.dividingFullWidth((first.remainder, 0))
    let sticky: UInt128 = second.remainder == 0 ? 0 : 1
    let quotient = UInt128(first.quotient) &<< 64 | UInt128(second.quotient) | sticky
    return UnroundedValue(
      normalizing: quotient, exponent: a.exponent &- b.exponent, isNegative: a.isNegative != b.isNegative)
  }

  @inline(__always)
  mutating func squareRoot(_ value: UnroundedValue) -> UnroundedValue {
    guard value.kind.isNumber else { return propagated(value) }
    if value.kind == .zero { return value }
    if value.isNegative { return invalidOperation() }
    noteDenormal(value, value)
    return value.kind == .infinity ? value : Self.exactSquareRoot(value)
  }

  /// The square root of a positive finite value of at most 64 digits.
  private static func exactSquareRoot(_ value: UnroundedValue) -> UnroundedValue {
    let isOdd = value.exponent & 1 != 0
    let radicand = isOdd ? UInt128(value.digits) &<< 64 : UInt128(value.digits) &<< 63
    let (root, remainder) = radicand.squareRoot
    // The next digit is 1 if the radicand is above (root + 1/2)²; it is never just that.
    let next: UInt128 = remainder > root ? 1 << 63 : 0
    var result = value
    result.isDenormal = false
    result.exponent = value.exponent >> 1
    result.significand = root &<< 64 | next | (remainder == 0 ? 0 : 1)
    return result
  }
}

extension UInt128 {
  /// The integer square root and the remainder, digit by digit.
  fileprivate var squareRoot: (root: UInt128, remainder: UInt128) {
    var remainder = self
    var root: UInt128 = 0
    var bit: UInt128 = 1 << 126
    while bit != 0 {
      let trial = root | bit
      root &>>= 1
      if remainder >= trial {
        remainder &-= trial
        root |= bit
      }
      bit &>>= 2
    }
    return (root, remainder)
  }
}
