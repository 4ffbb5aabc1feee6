/// Debug status register DR6.
///
/// Source: SDM volume 3, "Debug Status Register (DR6)".
public struct DR6: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Breakpoint condition 0 detected.
  @inlinable public static var b0: Self { Self(rawValue: 1 << 0) }
  /// Breakpoint condition 1 detected.
  @inlinable public static var b1: Self { Self(rawValue: 1 << 1) }
  /// Breakpoint condition 2 detected.
  @inlinable public static var b2: Self { Self(rawValue: 1 << 2) }
  /// Breakpoint condition 3 detected.
  @inlinable public static var b3: Self { Self(rawValue: 1 << 3) }
  /// Bus lock detected, if 0.
  @inlinable public static var bld: Self { Self(rawValue: 1 << 11) }
  /// Debug register access detected.
  @inlinable public static var bd: Self { Self(rawValue: 1 << 13) }
  /// Single step.
  @inlinable public static var bs: Self { Self(rawValue: 1 << 14) }
  /// Task switch.
  @inlinable public static var bt: Self { Self(rawValue: 1 << 15) }
  /// Outside of a transactional region, if 1.
  @inlinable public static var rtm: Self { Self(rawValue: 1 << 16) }

  /// The bits that read as 1 whatever is written, and RTM and BLD, which are 1 when nothing happened.
  @inlinable public static var initial: Self { Self(rawValue: 0xFFFF_0FF0) }
}

/// Debug control register DR7.
///
/// Source: SDM volume 3, "Debug Control Register (DR7)".
public struct DR7: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Local enable of breakpoint 0.
  @inlinable public static var l0: Self { Self(rawValue: 1 << 0) }
  /// Global enable of breakpoint 0.
  @inlinable public static var g0: Self { Self(rawValue: 1 << 1) }
  /// Local enable of breakpoint 1.
  @inlinable public static var l1: Self { Self(rawValue: 1 << 2) }
  /// Global enable of breakpoint 1.
  @inlinable public static var g1: Self { Self(rawValue: 1 << 3) }
  /// Local enable of breakpoint 2.
  @inlinable public static var l2: Self { Self(rawValue: 1 << 4) }
  /// Global enable of breakpoint 2.
  @inlinable public static var g2: Self { Self(rawValue: 1 << 5) }
  /// Local enable of breakpoint 3.
  @inlinable public static var l3: Self { Self(rawValue: 1 << 6) }
  /// Global enable of breakpoint 3.
  @inlinable public static var g3: Self { Self(rawValue: 1 << 7) }
  /// Local exact breakpoint enable.
  @inlinable public static var le: Self { Self(rawValue: 1 << 8) }
  /// Global exact breakpoint enable.
  @inlinable public static var ge: Self { Self(rawValue: 1 << 9) }
  /// Always 1.
  @inlinable public static var fixed1: Self { Self(rawValue: 1 << 10) }
  /// Restricted transactional memory.
  @inlinable public static var rtm: Self { Self(rawValue: 1 << 11) }
  /// General detect enable.
  @inlinable public static var gd: Self { Self(rawValue: 1 << 13) }

  /// The value after reset.
  @inlinable public static var initial: Self { .fixed1 }

  /// When breakpoint `number`, 0 to 3, triggers: 0 execution, 1 data writes, 2 I/O, 3 data reads and writes.
  @inlinable
  public func condition(of number: UInt64) -> UInt64 { rawValue >> (16 &+ (number & 3) &* 4) & 3 }

  /// The length in bytes that breakpoint `number`, 0 to 3, covers: 1, 2, 4 or 8.
  @inlinable
  public func length(of number: UInt64) -> UInt64 {
    switch rawValue >> (18 &+ (number & 3) &* 4) & 3 {
    case 0: 1
    case 1: 2
    case 2: 8
    default: 4
    }
  }

  /// Whether breakpoint `number`, 0 to 3, is enabled, locally or globally.
  @inlinable
  public func enables(_ number: UInt64) -> Bool { rawValue >> ((number & 3) &* 2) & 3 != 0 }
}
