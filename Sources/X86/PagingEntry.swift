/// A paging-structure entry of PAE, 4-level or 5-level paging.
///
/// Source: SDM volume 3, "Paging".
public struct PagingEntry: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var present: UInt64 { 1 << 0 }
  @inlinable public static var writable: UInt64 { 1 << 1 }
  @inlinable public static var user: UInt64 { 1 << 2 }
  @inlinable public static var writeThrough: UInt64 { 1 << 3 }
  @inlinable public static var cacheDisable: UInt64 { 1 << 4 }
  @inlinable public static var accessed: UInt64 { 1 << 5 }
  @inlinable public static var dirty: UInt64 { 1 << 6 }
  @inlinable public static var pageSize: UInt64 { 1 << 7 }
  @inlinable public static var global: UInt64 { 1 << 8 }
  @inlinable public static var executeDisable: UInt64 { 1 << 63 }
  /// Bits 51:12, the physical address of a page or of the next structure.
  @inlinable public static var addressMask: UInt64 { 0x000F_FFFF_FFFF_F000 }

  @inlinable
  public var isPresent: Bool { rawValue & Self.present != 0 }

  /// Whether writes are allowed.
  @inlinable
  public var isWritable: Bool { rawValue & Self.writable != 0 }

  /// Whether user-mode accesses are allowed.
  @inlinable
  public var isUser: Bool { rawValue & Self.user != 0 }

  @inlinable
  public var isAccessed: Bool { rawValue & Self.accessed != 0 }

  @inlinable
  public var isDirty: Bool { rawValue & Self.dirty != 0 }

  /// PS: whether the entry maps a page, where it could refer to another structure.
  @inlinable
  public var mapsPage: Bool { rawValue & Self.pageSize != 0 }

  @inlinable
  public var isGlobal: Bool { rawValue & Self.global != 0 }

  /// XD: whether instruction fetches are forbidden, if IA32_EFER.NXE is 1.
  @inlinable
  public var isExecuteDisabled: Bool { rawValue & Self.executeDisable != 0 }

  /// The physical address in bits 51:12.
  @inlinable
  public var address: UInt64 { rawValue & Self.addressMask }

  /// The protection key, bits 62:59.
  @inlinable
  public var protectionKey: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 59) & 0xF }
}

/// Limits and forms of addresses.
public enum AddressForm {
  /// Whether `address` is canonical for linear addresses of `width` bits: bits 63 to `width` - 1 are all equal.
  ///
  /// Source: SDM volume 1, "Canonical Addressing".
  @inlinable
  public static func isCanonical(_ address: UInt64, width: UInt64 = 48) -> Bool {
    let unused = 64 &- (width & 63)
    return UInt64(bitPattern: Int64(bitPattern: address &<< unused) &>> Int64(bitPattern: unused)) == address
  }

  /// The bits from `width`, 32 to 52, up to 63, which a physical address of that width must not have.
  @inlinable
  public static func bitsBeyond(physicalWidth width: UInt8) -> UInt64 { ~0 &<< UInt64(width & 63) }
}
