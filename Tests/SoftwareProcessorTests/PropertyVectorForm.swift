/// A form of a vector instruction: how it is encoded, and what its last operand is.
struct PropertyVectorForm: Sendable {
  var map: UInt8
  /// The mandatory prefix: 0, 66H, F3H or F2H.
  var prefix: UInt8
  var opcode: UInt8
  /// ModRM's reg, where it is an opcode extension.
  var digit: UInt8?
  var rm = RM.vector(.full)
  var hasImmediate = false
  /// Whether VEX.vvvv names an operand: always, never, or if r/m is a register.
  var v = V.always
  /// What VEX.L and VEX.W may be.
  var lengths: [Bool] = [false, true]
  var widths: [Bool] = [false]

  enum V: Sendable { case always, never, ifRegister }

  /// r/m.
  enum RM: Sendable {
    /// A vector register, or memory.
    case vector(Span)
    case memory(Span)
    case register
    /// A general register, or so many bytes of memory; 0 for those of the operand size.
    case general(Int)
    case mmx(Int)
    case mmxRegister
    case mmxMemory
    /// No ModRM byte.
    case none
  }

  /// How much memory.
  enum Span: Sendable {
    case full, half, quarter, eighth, bytes(Int)
    /// 8 of 16 bytes, 32 of 32.
    case duplicate

    func bytes(_ isLong: Bool) -> Int {
      let full = isLong ? 32 : 16
      switch self {
      case .full: return full
      case .half: return full / 2
      case .quarter: return full / 4
      case .eighth: return full / 8
      case .bytes(let count): return count
      case .duplicate: return isLong ? 32 : 8
      }
    }
  }

  /// Many opcodes of one form.
  static func all(
    _ map: UInt8, _ prefix: UInt8, _ opcodes: [UInt8], _ rm: RM = .vector(.full), immediate: Bool = false,
    v: V = .always, lengths: [Bool] = [false, true], widths: [Bool] = [false], digit: UInt8? = nil
  ) -> [PropertyVectorForm] {
    opcodes.map {
      PropertyVectorForm(
        map: map, prefix: prefix, opcode: $0, digit: digit, rm: rm, hasImmediate: immediate, v: v,
        lengths: lengths, widths: widths)
    }
  }
}

// MARK: The forms

extension PropertyVectorForm {
  private static let short = [false]
  private static let any = [false, true]

  // MARK: Integers

  static let integers: [PropertyVectorForm] =
    all(1, 0x66, Array(0x60...0x6D) + [0x74, 0x75, 0x76, 0xD4, 0xD5] + Array(0xD8...0xE0))
    + all(1, 0x66, [0xE3, 0xE4, 0xE5] + Array(0xE8...0xEF) + [0xF4, 0xF5, 0xF6] + Array(0xF8...0xFE))
    + all(1, 0x66, [0xD1, 0xD2, 0xD3, 0xE1, 0xE2, 0xF1, 0xF2, 0xF3], .vector(.bytes(16)))
    + all(1, 0x66, [0x14, 0x15, 0x54, 0x55, 0x56, 0x57])
    + all(1, 0, [0x14, 0x15, 0x54, 0x55, 0x56, 0x57])
    + all(1, 0x66, [0x70], immediate: true, v: .never) + all(1, 0xF3, [0x70], immediate: true, v: .never)
    + all(1, 0xF2, [0x70], immediate: true, v: .never)
    + all(1, 0, [0xC6], immediate: true) + all(1, 0x66, [0xC6], immediate: true)
    + shifts(0x71, [2, 4, 6]) + shifts(0x72, [2, 4, 6]) + shifts(0x73, [2, 3, 6, 7])

  private static func shifts(_ opcode: UInt8, _ digits: [UInt8]) -> [PropertyVectorForm] {
    digits.flatMap { all(1, 0x66, [opcode], .register, immediate: true, digit: $0) }
  }

  static let supplementalIntegers: [PropertyVectorForm] =
    all(2, 0x66, Array(0x00...0x0B) + [0x28, 0x29, 0x2B] + Array(0x37...0x40))
    + all(2, 0x66, [0x1C, 0x1D, 0x1E, 0x17], v: .never)
    + all(2, 0x66, [0x41], v: .never, lengths: short)
    + all(2, 0x66, [0x20, 0x23, 0x25, 0x30, 0x33, 0x35], .vector(.half), v: .never)
    + all(2, 0x66, [0x21, 0x24, 0x31, 0x34], .vector(.quarter), v: .never)
    + all(2, 0x66, [0x22, 0x32], .vector(.eighth), v: .never)
    + all(3, 0x66, [0x0C, 0x0D, 0x0E, 0x0F, 0x42], immediate: true)

  /// PBLENDVB, BLENDVPS and BLENDVPD without VEX.
  static let implicitBlends = all(2, 0x66, [0x10, 0x14, 0x15])

  static let mmx: [PropertyVectorForm] =
    all(1, 0, Array(0x63...0x6B) + [0x74, 0x75, 0x76] + Array(0xD1...0xD5) + Array(0xD8...0xE5), .mmx(8))
    + all(1, 0, Array(0xE8...0xEF) + Array(0xF1...0xF6) + Array(0xF8...0xFE), .mmx(8))
    + all(1, 0, [0x60, 0x61, 0x62], .mmx(4)) + all(1, 0, [0x70], .mmx(8), immediate: true)
    + all(2, 0, Array(0x00...0x0B) + [0x1C, 0x1D, 0x1E], .mmx(8))
    + all(3, 0, [0x0F], .mmx(8), immediate: true)
    + [2, 4, 6].flatMap { all(1, 0, [0x71, 0x72], .mmxRegister, immediate: true, digit: $0) }
    + [2, 6].flatMap { all(1, 0, [0x73], .mmxRegister, immediate: true, digit: $0) }
    + all(1, 0, [0x6E, 0x7E], .general(0), widths: any) + all(1, 0, [0x6F, 0x7F], .mmx(8))
    + all(1, 0, [0xE7], .mmxMemory) + all(1, 0, [0xD7], .mmxRegister)
    + all(1, 0, [0xC4], .general(2), immediate: true) + all(1, 0, [0xC5], .mmxRegister, immediate: true)
    + all(1, 0xF2, [0xD6], .register) + all(1, 0xF3, [0xD6], .mmxRegister)
    + all(1, 0, [0x77], .none)

  // MARK: Movement

  static let moves: [PropertyVectorForm] =
    [0, 0x66].flatMap { all(1, $0, [0x10, 0x11, 0x28, 0x29], v: .never) }
    + all(1, 0xF3, [0x10, 0x11], .vector(.bytes(4)), v: .ifRegister)
    + all(1, 0xF2, [0x10, 0x11], .vector(.bytes(8)), v: .ifRegister)
    + all(1, 0, [0x12, 0x16], .vector(.bytes(8)), lengths: short)
    + all(1, 0x66, [0x12, 0x16], .memory(.bytes(8)), lengths: short)
    + [0, 0x66].flatMap { all(1, $0, [0x13, 0x17], .memory(.bytes(8)), v: .never, lengths: short) }
    + all(1, 0xF3, [0x12, 0x16], v: .never) + all(1, 0xF2, [0x12], .vector(.duplicate), v: .never)
    + [0, 0x66].flatMap { all(1, $0, [0x2B], .memory(.full), v: .never) }
    + [0, 0x66].flatMap { all(1, $0, [0x50], .register, v: .never) }
    + all(1, 0x66, [0xE7], .memory(.full), v: .never) + all(1, 0x66, [0xD7], .register, v: .never)
    + all(1, 0xF2, [0xF0], .memory(.full), v: .never)
    + [0x66, 0xF3].flatMap { all(1, $0, [0x6F, 0x7F], v: .never) }
    + all(1, 0x66, [0x6E, 0x7E], .general(0), v: .never, lengths: short, widths: any)
    + all(1, 0xF3, [0x7E], .vector(.bytes(8)), v: .never, lengths: short)
    + all(1, 0x66, [0xD6], .vector(.bytes(8)), v: .never, lengths: short)
    + all(1, 0x66, [0xC4], .general(2), immediate: true, lengths: short)
    + all(1, 0x66, [0xC5], .register, immediate: true, v: .never, lengths: short)

  static let elements: [PropertyVectorForm] =
    all(3, 0x66, [0x14], .general(1), immediate: true, v: .never, lengths: short)
    + all(3, 0x66, [0x15], .general(2), immediate: true, v: .never, lengths: short)
    + all(3, 0x66, [0x16], .general(0), immediate: true, v: .never, lengths: short, widths: any)
    + all(3, 0x66, [0x17], .general(4), immediate: true, v: .never, lengths: short)
    + all(3, 0x66, [0x20], .general(1), immediate: true, lengths: short)
    + all(3, 0x66, [0x21], .vector(.bytes(4)), immediate: true, lengths: short)
    + all(3, 0x66, [0x22], .general(0), immediate: true, lengths: short, widths: any)
    + all(2, 0x66, [0x2A], .memory(.full), v: .never)

  // MARK: Floating point

  private static func arithmetic(_ opcodes: [UInt8], v: V = .always) -> [PropertyVectorForm] {
    all(1, 0, opcodes, v: v) + all(1, 0x66, opcodes, v: v) + all(1, 0xF3, opcodes, .vector(.bytes(4)))
      + all(1, 0xF2, opcodes, .vector(.bytes(8)))
  }

  static let arithmetic: [PropertyVectorForm] =
    arithmetic([0x58, 0x59, 0x5C, 0x5D, 0x5E, 0x5F]) + arithmetic([0x51], v: .never)
  static let horizontal: [PropertyVectorForm] =
    all(1, 0x66, [0x7C, 0x7D, 0xD0]) + all(1, 0xF2, [0x7C, 0x7D, 0xD0])
  static let comparisons: [PropertyVectorForm] =
    arithmetic([0xC2]).map {
      var form = $0
      form.hasImmediate = true
      return form
    }
    + all(1, 0, [0x2E, 0x2F], .vector(.bytes(4)), v: .never, lengths: short)
    + all(1, 0x66, [0x2E, 0x2F], .vector(.bytes(8)), v: .never, lengths: short)
  static let rounding: [PropertyVectorForm] =
    all(3, 0x66, [0x08, 0x09], immediate: true, v: .never)
    + all(3, 0x66, [0x0A], .vector(.bytes(4)), immediate: true)
    + all(3, 0x66, [0x0B], .vector(.bytes(8)), immediate: true)
  static let dotProducts: [PropertyVectorForm] =
    all(3, 0x66, [0x40], immediate: true) + all(3, 0x66, [0x41], immediate: true, lengths: short)
  static let approximations: [PropertyVectorForm] =
    all(1, 0, [0x52, 0x53], v: .never) + all(1, 0xF3, [0x52, 0x53], .vector(.bytes(4)))

  static let conversions: [PropertyVectorForm] =
    all(1, 0, [0x5A], .vector(.half), v: .never) + all(1, 0x66, [0x5A], v: .never)
    + all(1, 0xF3, [0x5A], .vector(.bytes(4))) + all(1, 0xF2, [0x5A], .vector(.bytes(8)))
    + [0, 0x66, 0xF3].flatMap { all(1, $0, [0x5B], v: .never) }
    + [0x66, 0xF2].flatMap { all(1, $0, [0xE6], v: .never) } + all(1, 0xF3, [0xE6], .vector(.half), v: .never)
    + [0xF3, 0xF2].flatMap { all(1, $0, [0x2A], .general(0), lengths: short, widths: any) }
    + all(1, 0xF3, [0x2C, 0x2D], .vector(.bytes(4)), v: .never, lengths: short, widths: any)
    + all(1, 0xF2, [0x2C, 0x2D], .vector(.bytes(8)), v: .never, lengths: short, widths: any)

  static let mmxConversions: [PropertyVectorForm] =
    [0, 0x66].flatMap { all(1, $0, [0x2A], .mmx(8)) } + all(1, 0, [0x2C, 0x2D], .vector(.bytes(8)))
    + all(1, 0x66, [0x2C, 0x2D], .vector(.bytes(16)))

  static let fused: [PropertyVectorForm] =
    [0x90, 0xA0, 0xB0].flatMap { (base: UInt8) in
      all(2, 0x66, [6, 7, 8, 10, 12, 14].map { base + $0 }, widths: any)
        + all(2, 0x66, [9, 11, 13, 15].map { base + $0 }, .vector(.bytes(4)))
        + all(2, 0x66, [9, 11, 13, 15].map { base + $0 }, .vector(.bytes(8)), widths: [true])
    }
  static let half: [PropertyVectorForm] =
    all(2, 0x66, [0x13], .vector(.half), v: .never)
    + all(3, 0x66, [0x1D], .vector(.half), immediate: true, v: .never)

  // MARK: The rest

  static let aes: [PropertyVectorForm] =
    all(2, 0x66, [0xDC, 0xDD, 0xDE, 0xDF], lengths: short) + all(2, 0x66, [0xDB], v: .never, lengths: short)
    + all(3, 0x66, [0xDF], immediate: true, v: .never, lengths: short)
  static let carryless = all(3, 0x66, [0x44], immediate: true, lengths: short)
  static let strings = all(3, 0x66, [0x60, 0x61, 0x62, 0x63], immediate: true, v: .never, lengths: short)

  static let advanced: [PropertyVectorForm] =
    all(2, 0x66, [0x0C, 0x0D]) + all(2, 0x66, [0x0E, 0x0F], v: .never)
    + all(2, 0x66, [0x16, 0x36], lengths: [true]) + all(2, 0x66, [0x18, 0x58], .vector(.bytes(4)), v: .never)
    + all(2, 0x66, [0x19], .vector(.bytes(8)), v: .never, lengths: [true])
    + all(2, 0x66, [0x59], .vector(.bytes(8)), v: .never)
    + all(2, 0x66, [0x1A, 0x5A], .memory(.bytes(16)), v: .never, lengths: [true])
    + all(2, 0x66, [0x78], .vector(.bytes(1)), v: .never)
    + all(2, 0x66, [0x79], .vector(.bytes(2)), v: .never)
    + all(2, 0x66, [0x45, 0x47], widths: any) + all(2, 0x66, [0x46])
    + all(3, 0x66, [0x00, 0x01], immediate: true, v: .never, lengths: [true], widths: [true])
    + all(3, 0x66, [0x02, 0x4A, 0x4B, 0x4C], immediate: true)
    + all(3, 0x66, [0x04, 0x05], immediate: true, v: .never)
    + all(3, 0x66, [0x06, 0x46], immediate: true, lengths: [true])
    + all(3, 0x66, [0x18, 0x38], .vector(.bytes(16)), immediate: true, lengths: [true])
    + all(3, 0x66, [0x19, 0x39], .vector(.bytes(16)), immediate: true, v: .never, lengths: [true])
    + all(1, 0, [0x77], .none, v: .never)
  static let maskedMoves: [PropertyVectorForm] =
    all(2, 0x66, [0x2C, 0x2D, 0x2E, 0x2F], .memory(.full))
    + all(2, 0x66, [0x8C, 0x8E], .memory(.full), widths: any)
}
