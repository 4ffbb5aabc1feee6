import InstructionDecoder

// The functions of ST(0), and of ST(0) and ST(1), that are exact or rounded but once.
//
// Source: SDM volume 2 at each instruction.
extension X87Unit {
  func executeFunction(_ mnemonic: Mnemonic) {
    switch mnemonic {
    case .fscale, .fprem, .fprem1, .fyl2x, .fyl2xp1, .fpatan: executeBinaryFunction(mnemonic)
    case .fptan, .fsincos: executePairFunction(mnemonic)
    case .fxtract: extract()
    default: executeUnaryFunction(mnemonic)
    }
  }

  private func executeUnaryFunction(_ mnemonic: Mnemonic) {
    guard !isEmpty(0) else {
      if mnemonic == .fsin || mnemonic == .fcos { setConditions(0, mask: Status.c2) }
      if stackFault(isOverflow: false) { self[0] = .indefinite }
      return
    }
    var environment = environment
    switch mnemonic {
    case .fchs, .fabs: return changeSign(mnemonic)
    case .fsqrt:
      let value = environment.squareRoot(self[0].decoded)
      store(X87Register(value, &environment), environment)
    case .frndint: roundToIntegral()
    case .fsin, .fcos:
      guard let pair = sineAndCosine(&environment) else { return }
      let value = mnemonic == .fsin ? pair.sine : pair.cosine
      store(X87Register(value, precision: 64, &environment), environment)
    default:
      let value = environment.exponentialMinus1(self[0].decoded)
      store(X87Register(value, precision: 64, &environment), environment)
    }
  }

  /// Makes `value` ST(0), unless an exception of `environment` forbids it.
  private func store(_ value: X87Register, _ environment: FloatingEnvironment) {
    if note(environment) { self[0] = value }
  }

  /// FCHS and FABS: of any encoding, and without an exception.
  private func changeSign(_ mnemonic: Mnemonic) {
    var value = self[0]
    value.signAndExponent =
      mnemonic == .fchs ? value.signAndExponent ^ 0x8000 : value.signAndExponent & 0x7FFF
    setConditions(0, mask: Status.c1)
    self[0] = value
  }

  private func roundToIntegral() {
    var environment = environment
    let value = environment.roundToIntegral(self[0].decoded, rounding: environment.rounding)
    let isRoundedUp = environment.isRoundedUp
    let result = X87Register(value, precision: 64, &environment)
    environment.isRoundedUp = isRoundedUp
    store(result, environment)
  }

  // MARK: Two operands

  private func executeBinaryFunction(_ mnemonic: Mnemonic) {
    let pops = mnemonic == .fyl2x || mnemonic == .fyl2xp1 || mnemonic == .fpatan
    guard !isEmpty(0), !isEmpty(1) else {
      if mnemonic == .fprem || mnemonic == .fprem1 { setConditions(0, mask: Status.c2) }
      guard stackFault(isOverflow: false) else { return }
      self[pops ? 1 : 0] = .indefinite
      if pops { pop() }
      return
    }
    var environment = environment
    let (top, next) = (self[0].decoded, self[1].decoded)
    switch mnemonic {
    case .fscale: return store(environment.scaledRegister(top, by: next), environment)
    case .fprem, .fprem1: return remainder(roundsToNearest: mnemonic == .fprem1)
    default: break
    }
    let value =
      switch mnemonic {
      case .fyl2x: environment.logarithm(of: top, times: next)
      case .fyl2xp1: environment.logarithmPlus1(of: top, times: next)
      default: environment.arctangent(next, top)
      }
    let result = X87Register(value, precision: 64, &environment)
    guard note(environment) else { return }
    self[1] = result
    pop()
  }

  /// FXTRACT.
  private func extract() {
    guard !isEmpty(0) else { return pairFault(isOverflow: false) }
    guard isEmpty(7) else { return pairFault(isOverflow: true) }
    var environment = environment
    let value = self[0].decoded
    var exponent: UnroundedValue
    var significand = value
    switch value.kind {
    case .zero:
      environment.raise(.divideByZero)
      exponent = .infinity(isNegative: true)
    case .infinity: exponent = .infinity(isNegative: false)
    case .finite:
      environment.noteDenormal(value, value)
      exponent = UnroundedValue(value.exponent)
      significand.exponent = 0
    case .quietNaN, .signalingNaN, .unsupported:
      significand = environment.propagated(value)
      exponent = significand
    }
    guard note(environment) else { return }
    self[0] = X87Register(exponent, precision: 64, &environment)
    push(X87Register(significand, precision: 64, &environment))
  }

  /// FPTAN and FSINCOS.
  private func executePairFunction(_ mnemonic: Mnemonic) {
    if isEmpty(0) || !isEmpty(7) { setConditions(0, mask: Status.c2) }
    guard !isEmpty(0) else { return pairFault(isOverflow: false) }
    guard isEmpty(7) else { return pairFault(isOverflow: true) }
    var environment = environment
    guard let pair = sineAndCosine(&environment) else { return }
    var second = environment
    let first: X87Register
    let pushed: X87Register
    if mnemonic == .fptan {
      let tangent = pair.sine.kind == .finite ? pair.sine.wideQuotient(pair.cosine).inexact : pair.sine
      first = X87Register(tangent, precision: 64, &environment)
      pushed = pair.sine.kind.isNumber ? X87Register(WideConstants.one, precision: 64, &second) : first
    } else {
      first = X87Register(pair.sine, precision: 64, &environment)
      pushed = X87Register(pair.cosine, precision: 64, &second)
      environment.raise(second.raised)
    }
    guard note(environment) else { return }
    self[0] = first
    push(pushed)
  }

  /// The stack fault of an instruction that replaces ST(0) and pushes: both become indefinite.
  private func pairFault(isOverflow: Bool) {
    guard stackFault(isOverflow: isOverflow) else { return }
    self[0] = .indefinite
    push(.indefinite)
  }

  /// The sine and cosine of ST(0), or nil if it is out of their range, which C2 tells.
  private func sineAndCosine(
    _ environment: inout FloatingEnvironment
  ) -> (sine: UnroundedValue, cosine: UnroundedValue)? {
    let value = self[0].decoded
    let isOutOfRange = value.kind == .finite && value.exponent >= 63
    setConditions(isOutOfRange ? Status.c2 : 0, mask: Status.c1 | Status.c2)
    return isOutOfRange ? nil : environment.sineAndCosine(value)
  }

  // MARK: Remainders

  /// FPREM and FPREM1: the remainder, or after a reduction by less than 2^64 a part of the way to it, which C2 tells.
  private func remainder(roundsToNearest: Bool) {
    var environment = environment
    let (dividend, divisor) = (self[0].decoded, self[1].decoded)
    let reduction = environment.remainder(dividend, divisor, roundsToNearest: roundsToNearest)
    let result = X87Register(reduction.value, precision: 64, &environment)
    setConditions(0, mask: Status.c2)
    guard note(environment) else { return }
    self[0] = result
    guard let quotient = reduction.quotient else { return }
    var conditions: UInt16 = reduction.isPartial ? Status.c2 : 0
    if quotient & 4 != 0 { conditions |= Status.c0 }
    if quotient & 2 != 0 { conditions |= Status.c3 }
    if quotient & 1 != 0 { conditions |= Status.c1 }
    setConditions(conditions)
  }
}

/// What FPREM and FPREM1 find.
struct X87Remainder {
  var value: UnroundedValue
  /// The low bits of the quotient; 0 if the reduction is partial, nil if there is none.
  var quotient: UInt64? = 0
  var isPartial = false
}

extension FloatingEnvironment {
  /// The remainder of `dividend` by `divisor`, with a quotient that is truncated or rounded to nearest.
  mutating func remainder(
    _ dividend: UnroundedValue, _ divisor: UnroundedValue, roundsToNearest: Bool
  ) -> X87Remainder {
    guard dividend.kind.isNumber, divisor.kind.isNumber else {
      return X87Remainder(value: propagated(dividend, divisor), quotient: nil)
    }
    if dividend.kind == .infinity || divisor.kind == .zero {
      return X87Remainder(value: invalidOperation(), quotient: nil)
    }
    noteDenormal(dividend, divisor)
    guard dividend.kind == .finite, divisor.kind == .finite else { return X87Remainder(value: dividend) }
    let distance = dividend.exponent &- divisor.exponent
    if distance < -1 || (distance < 0 && !roundsToNearest) { return X87Remainder(value: dividend) }
    guard distance < 64 else { return Self.partialRemainder(dividend, divisor, distance) }
    // Of a dividend just below the divisor, the first digit of the quotient is that of halves.
    let steps = max(distance, 0)
    var (rest, quotient) = Self.longDivision(dividend.digits, divisor.digits, steps: steps)
    var exponent = divisor.exponent
    if distance < 0 {
      rest = UInt128(dividend.digits)
      quotient = 0
      exponent = dividend.exponent
    }
    var isNegative = dividend.isNegative
    if roundsToNearest {
      // In units of the rest's last digit, the divisor.
      let whole = UInt128(divisor.digits) &<< (distance < 0 ? 1 : 0)
      if rest &<< 1 > whole || (rest &<< 1 == whole && quotient & 1 != 0) {
        rest = whole &- rest
        quotient &+= 1
        isNegative = !isNegative
      }
    }
    guard rest != 0 else {
      return X87Remainder(value: .zero(isNegative: dividend.isNegative), quotient: quotient)
    }
    let value = UnroundedValue(
      normalizing: rest &<< 32, exponent: exponent &+ 32, isNegative: isNegative)
    return X87Remainder(value: value, quotient: quotient)
  }

  /// A reduction of the exponent by 32 to 63, so that a loop ends.
  private static func partialRemainder(
    _ dividend: UnroundedValue, _ divisor: UnroundedValue, _ distance: Int32
  ) -> X87Remainder {
    let steps = 32 &+ distance & 31
    let (rest, _) = longDivision(dividend.digits, divisor.digits, steps: steps)
    guard rest != 0 else {
      return X87Remainder(value: .zero(isNegative: dividend.isNegative), isPartial: true)
    }
    let value = UnroundedValue(
      normalizing: rest &<< 32, exponent: dividend.exponent &- steps &+ 32, isNegative: dividend.isNegative)
    return X87Remainder(value: value, isPartial: true)
  }

  /// Divides significands, with `steps` digits behind the first; the rest is in units of the last step.
  private static func longDivision(
    _ dividend: UInt64, _ divisor: UInt64, steps: Int32
  ) -> (rest: UInt128, quotient: UInt64) {
    var rest = UInt128(dividend)
    let divisor = UInt128(divisor)
    var quotient: UInt64 = 0
    var step: Int32 = 0
    while true {
      if rest >= divisor {
        rest &-= divisor
        quotient |= 1
      }
      if step >= steps { return (rest, quotient) }
      rest &<<= 1
      quotient &<<= 1
      step &+= 1
    }
  }

  // MARK: FSCALE

  /// FSCALE's result.
  mutating func scaledRegister(_ value: UnroundedValue, by scale: UnroundedValue) -> X87Register {
    let scaled = scaled(value, by: scale)
    // Even adjusted, the exponent of an unmasked overflow or underflow may have no room.
    let limit = X87Register.exponentBias &+ Self.x87ExponentAdjustment
    if scaled.kind == .finite, scaled.exponent > limit, unmasked.contains(.overflow) {
      raise([.overflow, .precision])
      let infinity = X87Register(.infinity(isNegative: scaled.isNegative), precision: 64, &self)
      isRoundedUp = true
      return infinity
    }
    if scaled.kind == .finite, scaled.exponent < 2 &- limit, unmasked.contains(.underflow) {
      raise([.underflow, .precision])
      return X87Register(.zero(isNegative: scaled.isNegative), precision: 64, &self)
    }
    return X87Register(scaled, precision: 64, &self)
  }

  private mutating func scaled(_ value: UnroundedValue, by scale: UnroundedValue) -> UnroundedValue {
    guard value.kind.isNumber, scale.kind.isNumber else { return propagated(value, scale) }
    if scale.kind == .infinity {
      let becomesIndefinite = scale.isNegative ? value.kind == .infinity : value.kind == .zero
      if becomesIndefinite { return invalidOperation() }
      noteDenormal(value, value)
      return scale.isNegative ? .zero(isNegative: value.isNegative) : .infinity(isNegative: value.isNegative)
    }
    noteDenormal(value, scale)
    guard value.kind == .finite, scale.kind == .finite, scale.exponent >= 0 else { return value }
    // Beyond 2^17 the result is out of range, whatever the value.
    let magnitude =
      scale.exponent > 17
      ? 1 << 18 : Int32(truncatingIfNeeded: scale.digits &>> UInt64(truncatingIfNeeded: 63 &- scale.exponent))
    var result = value
    result.isDenormal = false
    result.exponent &+= scale.isNegative ? 0 &- magnitude : magnitude
    return result
  }
}
