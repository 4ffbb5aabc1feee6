/// The flags register.
///
/// Source: SDM volume 1, "EFLAGS Register".
public struct RFLAGS: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Carry.
  @inlinable public static var cf: Self { Self(rawValue: 1 << 0) }
  /// Always 1.
  @inlinable public static var fixed1: Self { Self(rawValue: 1 << 1) }
  /// Parity.
  @inlinable public static var pf: Self { Self(rawValue: 1 << 2) }
  /// Auxiliary carry.
  @inlinable public static var af: Self { Self(rawValue: 1 << 4) }
  /// Zero.
  @inlinable public static var zf: Self { Self(rawValue: 1 << 6) }
  /// Sign.
  @inlinable public static var sf: Self { Self(rawValue: 1 << 7) }
  /// Trap.
  @inlinable public static var tf: Self { Self(rawValue: 1 << 8) }
  /// Interrupt enable.
  @inlinable public static var `if`: Self { Self(rawValue: 1 << 9) }
  /// Direction.
  @inlinable public static var df: Self { Self(rawValue: 1 << 10) }
  /// Overflow.
  @inlinable public static var of: Self { Self(rawValue: 1 << 11) }
  /// Nested task.
  @inlinable public static var nt: Self { Self(rawValue: 1 << 14) }
  /// Resume.
  @inlinable public static var rf: Self { Self(rawValue: 1 << 16) }
  /// Virtual-8086 mode.
  @inlinable public static var vm: Self { Self(rawValue: 1 << 17) }
  /// Alignment check, and access control.
  @inlinable public static var ac: Self { Self(rawValue: 1 << 18) }
  /// Virtual interrupt.
  @inlinable public static var vif: Self { Self(rawValue: 1 << 19) }
  /// Virtual interrupt pending.
  @inlinable public static var vip: Self { Self(rawValue: 1 << 20) }
  /// Identification.
  @inlinable public static var id: Self { Self(rawValue: 1 << 21) }

  /// The six status flags.
  @inlinable public static var status: Self { [.cf, .pf, .af, .zf, .sf, .of] }

  /// The I/O privilege level, 0 to 3.
  @inlinable
  public var iopl: UInt8 {
    get { UInt8(truncatingIfNeeded: rawValue >> 12) & 3 }
    set { rawValue = rawValue & ~0x3000 | UInt64(newValue & 3) << 12 }
  }

  /// The bits that are not reserved, the fixed one among them.
  @inlinable public static var defined: Self { Self(rawValue: 0x3F_7FD7) }
}
