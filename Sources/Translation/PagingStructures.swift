import X86

/// The memory that paging structures lie in, at one level of nesting.
///
/// A walk asks for aligned 64-bit words and sets flags in them; what an address means (RAM, another translation, a
/// copy) is the reader's business. A reader that must not change memory makes ``setFlags(_:at:)`` do nothing.
public protocol PagingStructures<Level> {
  associatedtype Level: NestingLevel
  associatedtype Failure: Error

  /// The 64-bit word at `address`, a multiple of 8.
  func load(_ address: PhysicalAddress<Level>) throws(Failure) -> UInt64

  /// Sets the bits of `flags` (accessed, dirty) in the low word of the entry at `address`.
  ///
  /// Both the accessed and the dirty flag of an EPT entry are above bit 7, so the entry is addressed by its 16-bit
  /// low half.
  func setFlags(_ flags: UInt16, at address: PhysicalAddress<Level>) throws(Failure)
}

/// What an access does with the byte that it translates an address for.
public enum AccessKind: UInt8, Sendable {
  case read
  case write
  case execute
}

/// The permissions of a mapping: read 0, write 1, execute 2, the order of EPT entries and of the exit qualification of
/// EPT violations, in which user execute follows.
public struct Permissions: OptionSet, Hashable, Sendable {
  public var rawValue: UInt8

  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  @inlinable public static var read: Permissions { Permissions(rawValue: 1 << 0) }
  @inlinable public static var write: Permissions { Permissions(rawValue: 1 << 1) }
  @inlinable public static var execute: Permissions { Permissions(rawValue: 1 << 2) }
  /// With mode-based execute control for EPT: fetches from user-mode linear addresses, which are then no business of
  /// ``execute``.
  @inlinable public static var userExecute: Permissions { Permissions(rawValue: 1 << 3) }
  @inlinable public static var all: Permissions { Permissions(rawValue: 0b111) }

  /// The permission that an access of `kind` needs.
  @inlinable
  public init(for kind: AccessKind) { self.init(rawValue: 1 << kind.rawValue) }
}

/// The size of the region that one leaf entry maps.
public enum MappingSize: UInt8, Comparable, Sendable {
  case page4K = 12
  case page2M = 21
  case page4M = 22
  case page1G = 30

  /// The size in bytes.
  @inlinable @inline(__always)
  public var bytes: UInt64 { 1 << UInt64(rawValue) }

  /// The bits of an address below the mapping's alignment.
  @inlinable @inline(__always)
  public var offsetMask: UInt64 { bytes &- 1 }

  @inlinable
  public static func < (left: MappingSize, right: MappingSize) -> Bool { left.rawValue < right.rawValue }
}
