import X86

/// The EPT that translates guest-physical addresses of one level into physical addresses of the next.
///
/// `ExtendedPaging` is what an EPTP says, and no more, so that ept01, ept12 and a composed ept02 are walked by the
/// same code with different readers.
public struct ExtendedPaging: Sendable {
  /// The physical address of the EPT PML4 table.
  public var root: UInt64
  /// Whether accessed and dirty flags for EPT are enabled (bit 6 of the EPTP).
  public var hasAccessedAndDirtyFlags: Bool
  /// The number of physical-address bits; entry bits from here to 51 are reserved.
  public var physicalAddressWidth: UInt8
  /// Whether fetches from user-mode linear addresses have a permission of their own, bit 10 of the entries.
  public var hasModeBasedExecute: Bool

  @inlinable
  public init(eptp: UInt64, physicalAddressWidth: UInt8, hasModeBasedExecute: Bool = false) {
    self.hasModeBasedExecute = hasModeBasedExecute
    self.root = eptp & 0x000F_FFFF_FFFF_F000
    self.hasAccessedAndDirtyFlags = eptp & 1 << 6 != 0
    self.physicalAddressWidth = physicalAddressWidth
  }
}

/// What a guest-physical address maps to.
public struct ExtendedMapping<Host: NestingLevel>: Sendable {
  /// The physical address of the byte, one level down.
  public var address: PhysicalAddress<Host>
  public var size: MappingSize
  /// The permissions that every entry used grants.
  public var permissions: Permissions
  /// The leaf entry's EPT memory type.
  public var memoryType: UInt8
  /// The leaf entry's "ignore PAT" bit.
  public var ignoresPAT: Bool
  /// Whether writes need no further flag: the leaf's dirty flag after the access, or true without such flags.
  public var isDirty: Bool
  /// How many EPT paging-structure entries were read.
  public var references: UInt8
  /// Where the leaf entry lies.
  public var leaf = PhysicalAddress<Host>(0)
  /// Whether this access has set the leaf's dirty flag.
  public var becameDirty = false

  @inlinable
  public init(
    address: PhysicalAddress<Host>, size: MappingSize, permissions: Permissions, memoryType: UInt8,
    ignoresPAT: Bool, isDirty: Bool, references: UInt8
  ) {
    self.address = address
    self.size = size
    self.permissions = permissions
    self.memoryType = memoryType
    self.ignoresPAT = ignoresPAT
    self.isDirty = isDirty
    self.references = references
  }

  /// The mapping through this one and then `next`, which translates this one's ``address``: the product of two EPTs.
  ///
  /// The smaller page wins, and a permission holds only if both grant it. The memory type is this one's: `next`
  /// belongs to a controller whose RAM is write-back.
  @inlinable
  public func composed<Final: NestingLevel>(with next: ExtendedMapping<Final>) -> ExtendedMapping<Final> {
    ExtendedMapping<Final>(
      address: next.address, size: min(size, next.size),
      permissions: permissions.intersection(next.permissions), memoryType: memoryType,
      ignoresPAT: ignoresPAT, isDirty: isDirty && next.isDirty, references: references &+ next.references)
  }
}

/// Why a guest-physical address was not translated.
public enum ExtendedFault: Error, Equatable, Sendable {
  /// An EPT violation; bits 6:0 of its exit qualification (the access, and what the entries permit).
  case violation(qualification: UInt64)
  /// An EPT misconfiguration.
  case misconfiguration
  /// An accessed or dirty flag had to be set while the page-modification log was full.
  case logFull
}

/// An access to a guest-physical address.
public struct ExtendedAccess: Equatable, Sendable {
  public var kind: AccessKind
  /// Whether the access is to a guest paging-structure entry; with accessed and dirty flags for EPT, it counts as a
  /// write even if it only reads.
  public var isPagingStructure: Bool
  /// Whether the linear address is a user-mode one, which matters to fetches under mode-based execute control.
  public var isUser: Bool

  @inlinable
  public init(_ kind: AccessKind, isPagingStructure: Bool = false, isUser: Bool = false) {
    self.isUser = isUser
    self.kind = kind
    self.isPagingStructure = isPagingStructure
  }
}
