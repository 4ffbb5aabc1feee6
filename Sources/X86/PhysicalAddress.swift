/// A level of nesting, used only as a type parameter of ``PhysicalAddress``.
public protocol NestingLevel {}

/// The machine's own level: L0, the host hypervisor.
public enum L0: NestingLevel {}
/// The first guest: L1, the guest hypervisor.
public enum L1: NestingLevel {}
/// The guest's guest: L2.
public enum L2: NestingLevel {}

/// A physical address as one level sees it, in bytes.
///
/// The level is part of the type, so that an address of L2 cannot be used to index the memory of L1: it has to
/// pass through ept12 (L2 to L1) and ept01 (L1 to L0) first.
public struct PhysicalAddress<Level: NestingLevel>: Hashable, Comparable, Sendable {
  /// The address in bytes.
  public var rawValue: UInt64

  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// The address of the 4-KByte page that contains this byte.
  @inlinable
  public var page: Self { Self(rawValue & ~0xFFF) }

  /// The offset of this byte in its 4-KByte page.
  @inlinable
  public var pageOffset: UInt64 { rawValue & 0xFFF }

  @inlinable
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

  @inlinable
  public static func + (base: Self, offset: UInt64) -> Self { Self(base.rawValue &+ offset) }
}
