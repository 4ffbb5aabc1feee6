/// The floating-point exceptions, at their bits of MXCSR, of the x87 status word, and of the x87 control word's masks.
///
/// Source: SDM volume 1, "Floating-Point Exception Conditions" and "SIMD Floating-Point Exception Conditions".
struct FloatingExceptions: OptionSet {
  let rawValue: UInt8

  static let invalidOperation = FloatingExceptions(rawValue: 1 << 0)
  static let denormalOperand = FloatingExceptions(rawValue: 1 << 1)
  static let divideByZero = FloatingExceptions(rawValue: 1 << 2)
  static let overflow = FloatingExceptions(rawValue: 1 << 3)
  static let underflow = FloatingExceptions(rawValue: 1 << 4)
  static let precision = FloatingExceptions(rawValue: 1 << 5)

  static let all = FloatingExceptions(rawValue: 0x3F)
  /// Those detected before a result is computed; where one is unmasked, nothing is computed.
  static let precomputation: FloatingExceptions = [.invalidOperation, .denormalOperand, .divideByZero]
}

/// The rounding control of MXCSR and of the x87 control word, by its encoding.
enum RoundingControl: UInt8 {
  case nearestEven, down, up, towardZero

  /// The control in the low two bits of `bits`.
  @inline(__always)
  init(bits: UInt32) {
    switch bits & 3 {
    case 0: self = .nearestEven
    case 1: self = .down
    case 2: self = .up
    default: self = .towardZero
    }
  }
}

/// What floating-point operations are told, and what they tell: passed `inout` to each, so that the flags of the
/// elements of a vector accumulate in one.
///
/// An operation always returns what its masked response is. When ``isFaulting`` holds afterwards, an SSE instruction
/// leaves its destination as it was, raises ``reported`` in MXCSR and causes #XM.
struct FloatingEnvironment {
  var rounding = RoundingControl.nearestEven
  /// Denormal operands count as zeros (MXCSR.DAZ).
  var denormalsAreZeros = false
  /// A tiny result is a zero while underflow is masked (MXCSR.FTZ).
  var flushesToZero = false
  /// The exceptions whose mask bit is 0.
  var unmasked: FloatingExceptions = []
  /// Whether the rules of the x87 FPU hold: for which NaN is returned, and for unmasked overflow and underflow.
  var isX87 = false
  /// The x87 precision control: 24, 53 or 64 digits.
  var x87Precision = 64

  /// The exceptions raised so far.
  var raised: FloatingExceptions = []
  /// Whether the last rounding increased the magnitude: the x87 FPU's C1.
  var isRoundedUp = false

  /// Nearest, everything masked.
  init() {}

  /// As `mxcsr` says, with nothing raised.
  @inline(__always)
  init(mxcsr: UInt32) {
    rounding = RoundingControl(bits: mxcsr &>> 13)
    denormalsAreZeros = mxcsr & 1 << 6 != 0
    flushesToZero = mxcsr & 1 << 15 != 0
    unmasked = FloatingExceptions(rawValue: UInt8(truncatingIfNeeded: ~mxcsr &>> 7) & 0x3F)
  }

  /// As the x87 control word `word` says, with nothing raised.
  ///
  /// Source: SDM volume 1, "x87 FPU Control Word". The reserved precision control 01B works as 64 digits.
  @inline(__always)
  init(x87ControlWord word: UInt16) {
    isX87 = true
    rounding = RoundingControl(bits: UInt32(word) &>> 10)
    unmasked = FloatingExceptions(rawValue: UInt8(truncatingIfNeeded: ~word) & 0x3F)
    switch word &>> 8 & 3 {
    case 0: x87Precision = 24
    case 2: x87Precision = 53
    default: x87Precision = 64
    }
  }

  @inline(__always)
  mutating func raise(_ exceptions: FloatingExceptions) { raised.formUnion(exceptions) }

  /// Whether an unmasked exception was raised.
  @inline(__always)
  var isFaulting: Bool { !raised.isDisjoint(with: unmasked) }

  /// The flags to set: without those of the results that an unmasked exception kept from being computed.
  ///
  /// Source: SDM volume 1, "Handling Unmasked Exceptions".
  @inline(__always)
  var reported: FloatingExceptions {
    raised.isDisjoint(with: unmasked.intersection(.precomputation))
      ? raised : raised.intersection(.precomputation)
  }
}
