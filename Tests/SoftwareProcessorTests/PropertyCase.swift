/// One instruction with the state in which it runs, and what of its result the SDM leaves undefined.
struct PropertyCase {
  /// The family, for the message of a difference.
  var name = ""
  var code: [UInt8] = []
  var general = [UInt64](repeating: 0, count: 16)
  var flags: UInt64 = 0
  /// x87, SSE and AVX.
  var extended = PropertyExtendedState()
  /// What of the extended state the result may differ in.
  var extendedTolerance = PropertyTolerance()
  /// What is put into the data pages: address and bytes.
  var patches: [Patch] = []
  var undefinedFlags: UInt64 = 0
  /// The size of the two elements of a CMPS, at RSI and RDI, by its address size in bytes; the SDM does not say which
  /// of two absent operands faults.
  var compared: (size: Int, addressSize: Int)?

  typealias Patch = (address: UInt64, value: UInt64, size: Int)
}

/// The status flags and DF by their bits in RFLAGS.
enum PropertyFlag {
  static let cf: UInt64 = 1 << 0
  static let pf: UInt64 = 1 << 2
  static let af: UInt64 = 1 << 4
  static let zf: UInt64 = 1 << 6
  static let sf: UInt64 = 1 << 7
  static let df: UInt64 = 1 << 10
  static let of: UInt64 = 1 << 11
  static let status = cf | pf | af | zf | sf | of
  static let compared = status | df
}

/// What of the extended state an instruction leaves undefined, or only approximate.
struct PropertyTolerance {
  /// Bits of the x87 status word.
  var undefinedStatus: UInt16 = 0
  /// How many units in the last place ST(0) and ST(1) may be off.
  var ulps: UInt64 = 0
}
