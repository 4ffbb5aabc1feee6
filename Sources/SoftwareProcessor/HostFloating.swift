/// A format in which the host computes: its arithmetic gives the result where it is certain that rounding to nearest is
/// all there is to it.
///
/// That is so where operands and result are normal, or zeros that are exact, so that nothing but precision can be
/// raised; and precision is known to be raised already, or worked out.
protocol HostFormat: InterchangeFormat where Bits: FixedWidthInteger {
  associatedtype Host: BinaryFloatingPoint
  static func host(_ bits: Bits) -> Host
  static func bits(_ value: Host) -> Bits
  /// Whether the rounded product `result` of two normal values is exact.
  static func isExactProduct(_ a: Bits, _ b: Bits, _ result: Bits) -> Bool
}

extension Binary32: HostFormat {
  @inline(__always)
  static func host(_ bits: UInt32) -> Float { Float(bitPattern: bits) }
  @inline(__always)
  static func bits(_ value: Float) -> UInt32 { value.bitPattern }
  @inline(__always)
  static func isExactProduct(_ a: UInt32, _ b: UInt32, _ result: UInt32) -> Bool {
    Double(host(a)) * Double(host(b)) == Double(host(result))
  }
}

extension Binary64: HostFormat {
  @inline(__always)
  static func host(_ bits: UInt64) -> Double { Double(bitPattern: bits) }
  @inline(__always)
  static func bits(_ value: Double) -> UInt64 { value.bitPattern }
  @inline(__always)
  static func isExactProduct(_ a: UInt64, _ b: UInt64, _ result: UInt64) -> Bool {
    let digits: UInt64 = 1 &<< 52
    let product = (a & (digits &- 1) | digits).multipliedFullWidth(by: b & (digits &- 1) | digits)
    // Of the 105 or 106 digits, those behind the first 53.
    let dropped: UInt64 = product.high &>> 41 == 0 ? 52 : 53
    return product.low & ((1 &<< dropped) &- 1) == 0
  }
}

extension FloatingEnvironment {
  /// As MXCSR says; a precision exception that it has already, and that is masked, is raised from the beginning, since
  /// raising it again makes no difference.
  @inline(__always)
  init(stickyMXCSR mxcsr: UInt32) {
    self.init(mxcsr: mxcsr)
    if mxcsr & 0x1020 == 0x1020 { raised = .precision }
  }

  /// Whether results are rounded to nearest and precision is masked.
  @inline(__always)
  var isPlain: Bool { rounding == .nearestEven && !unmasked.contains(.precision) }
}

extension HostFormat {
  @inline(__always)
  private static var exponentMask: Bits {
    (1 &<< Bits(truncatingIfNeeded: Bits.bitWidth &- precision)) &- 1
  }
  @inline(__always)
  private static func exponent(_ bits: Bits) -> Bits {
    bits &>> Bits(truncatingIfNeeded: precision &- 1) & exponentMask
  }
  @inline(__always)
  static func isZero(_ bits: Bits) -> Bool { bits &<< 1 == 0 }

  /// Whether `bits` are a normal value or zero.
  @inline(__always)
  static func isOrdinary(_ bits: Bits) -> Bool {
    exponent(bits) &- 1 < exponentMask &- 1 || isZero(bits)
  }

  /// Whether a result is so far from the limits of the range that it neither overflowed nor was tiny.
  @inline(__always)
  private static func isSafe(_ bits: Bits) -> Bool {
    let exponent = exponent(bits)
    return exponent > 1 && exponent < exponentMask &- 8
  }

  @inline(__always)
  static func quickSum(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits? {
    guard environment.isPlain, isOrdinary(a), isOrdinary(b) else { return nil }
    let left = host(a)
    let right = host(b)
    let sum = left + right
    let result = bits(sum)
    // An exact zero; what is below the normal values is exact in a sum, but a denormal.
    guard isSafe(result) || sum == 0 else { return nil }
    if !environment.raised.contains(.precision) {
      let part = sum - left
      if (left - (sum - part)) + (right - part) != 0 { environment.raise(.precision) }
    }
    return result
  }

  @inline(__always)
  static func quickProduct(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits? {
    guard environment.isPlain, isOrdinary(a), isOrdinary(b) else { return nil }
    let result = bits(host(a) * host(b))
    if isZero(a) || isZero(b) { return result }
    guard isSafe(result) else { return nil }
    if !environment.raised.contains(.precision), !isExactProduct(a, b, result) {
      environment.raise(.precision)
    }
    return result
  }

  @inline(__always)
  static func quickQuotient(_ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment) -> Bits? {
    guard environment.isPlain, environment.raised.contains(.precision), isOrdinary(a), isOrdinary(b),
      !isZero(b)
    else { return nil }
    let result = bits(host(a) / host(b))
    return isSafe(result) || isZero(a) ? result : nil
  }

  @inline(__always)
  static func quickSquareRoot(_ a: Bits, _ environment: inout FloatingEnvironment) -> Bits? {
    guard environment.isPlain, environment.raised.contains(.precision), isOrdinary(a), a & signBit == 0
    else { return nil }
    return bits(host(a).squareRoot())
  }
}

/// The arithmetic of SSE, in the order of the mnemonics, of which each has four: PS, PD, SS, SD.
enum FloatingOperation: UInt16 {
  case sum, product, difference, quotient, minimum, maximum, squareRoot
}

extension HostFormat {
  /// The result of `operation`; of a square root, that of `b`.
  @inline(__always)
  static func result(
    _ operation: FloatingOperation, _ a: Bits, _ b: Bits, _ environment: inout FloatingEnvironment
  ) -> Bits {
    switch operation {
    case .sum: return quickSum(a, b, &environment) ?? sum(a, b, &environment)
    case .product: return quickProduct(a, b, &environment) ?? product(a, b, &environment)
    case .difference:
      // A NaN's sign is not to be changed, and is none of the quick ones.
      return quickSum(a, b ^ signBit, &environment) ?? difference(a, b, &environment)
    case .quotient: return quickQuotient(a, b, &environment) ?? quotient(a, b, &environment)
    case .minimum:
      guard isOrdinary(a), isOrdinary(b) else { return minimum(a, b, &environment) }
      return host(a) < host(b) ? a : b
    case .maximum:
      guard isOrdinary(a), isOrdinary(b) else { return maximum(a, b, &environment) }
      return host(a) > host(b) ? a : b
    case .squareRoot: return quickSquareRoot(b, &environment) ?? squareRoot(b, &environment)
    }
  }
}
