/// The six status flags (CF, PF, AF, ZF, SF, OF), kept as the operands and the result of the instruction that set them
/// and worked out only when something reads them.
///
/// `left`, `right` and `result` are sign-extended from the operand size to 64 bits, which preserves unsigned order,
/// so that no flag's formula depends on the size.
struct StatusFlags {
  var result: UInt64 = 0
  var left: UInt64 = 0
  var right: UInt64 = 0
  /// For `.result`: CF, AF and OF; for `.explicit`: all six; at their places in EFLAGS.
  var bits: UInt64 = 0
  var origin: Origin = .explicit

  enum Origin: UInt8 {
    /// All six are in `bits`.
    case explicit
    /// ZF, SF and PF follow from `result`; CF, AF and OF are in `bits`.
    case result
    /// `result` = `left` + `right`.
    case addition
    /// `result` = `left` - `right`.
    case subtraction
  }

  static let cf: UInt64 = 1 << 0
  static let pf: UInt64 = 1 << 2
  static let af: UInt64 = 1 << 4
  static let zf: UInt64 = 1 << 6
  static let sf: UInt64 = 1 << 7
  static let of: UInt64 = 1 << 11
  static let all: UInt64 = cf | pf | af | zf | sf | of
}

// MARK: - Reading

extension StatusFlags {
  @inline(always)
  var carry: Bool {
    switch origin {
    case .addition: result < left
    case .subtraction: left < right
    case .explicit, .result: bits & Self.cf != 0
    }
  }

  @inline(always)
  var zero: Bool { origin == .explicit ? bits & Self.zf != 0 : result == 0 }

  @inline(always)
  var sign: Bool { origin == .explicit ? bits & Self.sf != 0 : Int64(bitPattern: result) < 0 }

  @inline(always)
  var overflow: Bool {
    switch origin {
    case .addition: Int64(bitPattern: (left ^ result) & (right ^ result)) < 0
    case .subtraction: Int64(bitPattern: (left ^ right) & (left ^ result)) < 0
    case .explicit, .result: bits & Self.of != 0
    }
  }

  @inline(always)
  var parity: Bool {
    origin == .explicit
      ? bits & Self.pf != 0 : UInt8(truncatingIfNeeded: result).nonzeroBitCount & 1 == 0
  }

  @inline(always)
  var adjust: Bool {
    switch origin {
    case .addition, .subtraction: (left ^ right ^ result) & 0x10 != 0
    case .explicit, .result: bits & Self.af != 0
    }
  }

  /// The six flags at their places in EFLAGS; setting them replaces all six.
  var value: UInt64 {
    get {
      if origin == .explicit { return bits }
      var value: UInt64 = 0
      if carry { value |= Self.cf }
      if parity { value |= Self.pf }
      if adjust { value |= Self.af }
      if zero { value |= Self.zf }
      if sign { value |= Self.sf }
      if overflow { value |= Self.of }
      return value
    }
    set {
      bits = newValue & Self.all
      origin = .explicit
    }
  }
}

extension Core {
  /// The whole of RFLAGS. Setting it changes every bit; callers mask what an instruction may not change.
  ///
  /// A change of VM or AC also needs ``updateMode()``.
  var rflags: UInt64 {
    get { cpu.pointee.rflagsSystem & ~StatusFlags.all | 2 | cpu.pointee.flags.value }
    nonmutating set {
      cpu.pointee.rflagsSystem = newValue & ~StatusFlags.all | 2
      cpu.pointee.flags.value = newValue
    }
  }
}
