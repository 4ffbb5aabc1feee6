import X86

/// An EPT paging-structure entry.
///
/// Source: SDM volume 3, "EPT Translation Mechanism".
public struct EPTEntry: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// An entry that maps a page at `address`.
  @inlinable
  public init(
    page address: UInt64, permissions: EPTPermissions, memoryType: MemoryType = .writeBack,
    isLarge: Bool = false
  ) {
    rawValue =
      address & Self.addressMask | permissions.rawValue & EPTPermissions.mask | UInt64(memoryType.rawValue)
      << 3
      | (isLarge ? Self.largePage : 0)
  }

  /// An entry that refers to the structure at `address`.
  @inlinable
  public init(table address: UInt64, permissions: EPTPermissions = .all) {
    rawValue = address & Self.addressMask | permissions.rawValue & EPTPermissions.mask
  }

  @inlinable public static var ignorePAT: UInt64 { 1 << 6 }
  @inlinable public static var largePage: UInt64 { 1 << 7 }
  @inlinable public static var accessed: UInt64 { 1 << 8 }
  @inlinable public static var dirty: UInt64 { 1 << 9 }
  @inlinable public static var suppressVE: UInt64 { 1 << 63 }
  /// Bits 51:12, the physical address of a page or of the next structure.
  @inlinable public static var addressMask: UInt64 { 0x000F_FFFF_FFFF_F000 }

  /// Bits 2:0, and bit 10 (which matters with mode-based execute control only).
  @inlinable
  public var permissions: EPTPermissions { EPTPermissions(rawValue: rawValue & EPTPermissions.mask) }

  /// Whether the entry is present: any permission, bit 10 among them only with mode-based execute control.
  @inlinable
  public func isPresent(modeBasedExecute: Bool = false) -> Bool {
    rawValue & (modeBasedExecute ? EPTPermissions.mask : 7) != 0
  }

  /// Bits 5:3 of an entry that maps a page, or nil if they encode none.
  @inlinable
  public var memoryType: MemoryType? {
    let type = MemoryType(rawValue: UInt8(truncatingIfNeeded: rawValue >> 3) & 7)
    return type == .uncached ? nil : type
  }

  /// Whether the PAT is ignored for the page.
  @inlinable
  public var ignoresPAT: Bool { rawValue & Self.ignorePAT != 0 }

  /// Whether an EPT PDPTE or PDE maps a page of 1 GByte or 2 MByte.
  @inlinable
  public var isLarge: Bool { rawValue & Self.largePage != 0 }

  @inlinable
  public var isAccessed: Bool { rawValue & Self.accessed != 0 }

  @inlinable
  public var isDirty: Bool { rawValue & Self.dirty != 0 }

  /// Whether EPT violations of the page cause VM exits where they could cause #VE.
  @inlinable
  public var suppressesVE: Bool { rawValue & Self.suppressVE != 0 }

  /// The physical address in bits 51:12.
  @inlinable
  public var address: UInt64 { rawValue & Self.addressMask }

  /// Whether the entry maps a page at `level`: 1 for an EPT PTE up to 4 for a PML4E and 5 for a PML5E.
  @inlinable
  public func mapsPage(atLevel level: Int) -> Bool {
    level == 1 || isLarge && level <= 3
  }
}

/// What accesses EPT allows: bits 2:0 and 10 of an entry.
public struct EPTPermissions: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var read: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var write: Self { Self(rawValue: 1 << 1) }
  /// Fetches; with mode-based execute control, from supervisor-mode linear addresses.
  @inlinable public static var execute: Self { Self(rawValue: 1 << 2) }
  /// With mode-based execute control: fetches from user-mode linear addresses.
  @inlinable public static var userExecute: Self { Self(rawValue: 1 << 10) }

  /// Read, write and execute.
  @inlinable public static var all: Self { [.read, .write, .execute] }

  /// The bits of an entry that hold permissions.
  @inlinable public static var mask: UInt64 { 0x407 }
}

/// What an EPT walk must know of the processor and the VMCS to tell a misconfiguration.
public struct EPTFormat: Hashable, Sendable {
  public var capability: EPTAndVPIDCapability
  /// The physical-address width, 32 to 52.
  public var physicalWidth: UInt8
  /// The value of "mode-based execute control for EPT".
  public var modeBasedExecute: Bool

  @inlinable
  public init(capability: EPTAndVPIDCapability, physicalWidth: UInt8, modeBasedExecute: Bool = false) {
    self.capability = capability
    self.physicalWidth = physicalWidth
    self.modeBasedExecute = modeBasedExecute
  }

  /// Whether `entry`, read at `level` (1 for an EPT PTE up to 5 for a PML5E), is misconfigured. An entry that is not
  /// present is not.
  ///
  /// Source: SDM volume 3, "EPT Misconfigurations".
  @inlinable
  public func isMisconfigured(_ entry: EPTEntry, level: Int) -> Bool {
    guard entry.isPresent(modeBasedExecute: modeBasedExecute) else { return false }
    if entry.rawValue & reservedBits(of: entry, level: level) != 0 { return true }
    if entry.rawValue & 1 == 0 {
      if entry.rawValue & 2 != 0 || !capability.contains(.executeOnly) { return true }
    }
    return entry.mapsPage(atLevel: level) && entry.memoryType == nil
  }

  /// The bits that must be 0 in a present entry at `level`.
  @inlinable
  public func reservedBits(of entry: EPTEntry, level: Int) -> UInt64 {
    let beyondWidth = AddressForm.bitsBeyond(physicalWidth: physicalWidth) & EPTEntry.addressMask
    switch level {
    case 1: return beyondWidth
    case 2 where entry.isLarge:
      return beyondWidth | (capability.contains(.pages2MByte) ? 0x1F_F000 : EPTEntry.largePage)
    case 3 where entry.isLarge:
      return beyondWidth | (capability.contains(.pages1GByte) ? 0x3FFF_F000 : EPTEntry.largePage)
    case 2, 3: return beyondWidth | 0x78
    default: return beyondWidth | 0xF8
    }
  }
}
