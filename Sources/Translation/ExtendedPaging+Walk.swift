import VMX
import X86

extension ExtendedPaging {
  /// Translates `guest` for `access`: refuses misconfigured entries and missing permissions, then sets the accessed
  /// and dirty flags if they are enabled.
  ///
  /// A physical address that `structures` has no memory at must read as all ones, which is a misconfiguration.
  @inlinable
  public func translate<Guest: NestingLevel, Structures: PagingStructures>(
    _ guest: PhysicalAddress<Guest>, for access: ExtendedAccess, in structures: borrowing Structures
  ) throws(ExtendedFault) -> ExtendedMapping<Structures.Level> where Structures.Failure == ExtendedFault {
    var permissions: Permissions = hasModeBasedExecute ? [.all, .userExecute] : .all
    var state = WalkState(table: root, level: 4)
    // Bits above the 48 that four levels translate have no mapping.
    guard guest.rawValue >> 48 == 0 else { throw violation(access, []) }
    while true {
      let shift = 12 &+ 9 &* UInt64(state.level &- 1)
      let entryAddress = state.table | (guest.rawValue >> shift & 0x1FF) << 3
      let entry = try structures.load(PhysicalAddress(entryAddress))
      let granted = granted(by: entry)
      permissions.formIntersection(granted)
      guard !granted.isEmpty else { throw violation(access, permissions) }
      let isLeaf = state.level == 1 || (state.level < 4 && entry & EPTEntry.largePage != 0)
      guard !isMisconfigured(entry, state.level, isLeaf: isLeaf) else { throw .misconfiguration }
      state.note(entryAddress, accessed: entry & EPTEntry.accessed != 0)
      if isLeaf { return try complete(guest, access, entry, permissions, state, in: structures) }
      state.table = entry & EPTEntry.addressMask
      state.level &-= 1
    }
  }

  /// Whether a present entry is one that the SDM forbids (SDM volume 3, "EPT Misconfigurations").
  @inlinable @inline(__always)
  public func isMisconfigured(_ entry: UInt64, _ level: UInt8, isLeaf: Bool) -> Bool {
    if entry & 3 == 2 { return true }
    let reserved = ((1 << 52) &- 1) & ~((1 << UInt64(physicalAddressWidth)) &- 1) as UInt64
    if entry & reserved != 0 { return true }
    guard isLeaf else { return entry & (level == 4 ? 0xF8 : 0x78) != 0 }
    let size = Self.size(level)
    if entry & size.offsetMask & ~0xFFF != 0 { return true }
    switch entry >> 3 & 7 {
    case 2, 3, 7: return true
    default: return false
    }
  }

  /// "Suppress #VE" of the entry that decides on an EPT violation at `guest`: the first that is not present, else the one
  /// that maps the page.
  ///
  /// Source: SDM volume 3, "Convertible EPT Violations".
  @inlinable
  public func suppressesVE<Guest: NestingLevel, Structures: PagingStructures>(
    _ guest: PhysicalAddress<Guest>, in structures: borrowing Structures
  ) throws(ExtendedFault) -> Bool where Structures.Failure == ExtendedFault {
    var table = root
    var level: UInt8 = 4
    while true {
      let shift = 12 &+ 9 &* UInt64(level &- 1)
      let entry = try structures.load(PhysicalAddress(table | (guest.rawValue >> shift & 0x1FF) << 3))
      let isLeaf = level == 1 || (level < 4 && entry & EPTEntry.largePage != 0)
      if isLeaf || granted(by: entry).isEmpty { return entry & EPTEntry.suppressVE != 0 }
      table = entry & EPTEntry.addressMask
      level &-= 1
    }
  }

  /// The permissions of an entry.
  @inlinable @inline(__always)
  func granted(by entry: UInt64) -> Permissions {
    let user = hasModeBasedExecute ? entry >> 10 & 1 : 0
    return Permissions(rawValue: UInt8(truncatingIfNeeded: entry & 7 | user << 3))
  }

  /// The permission that `access` needs.
  @inlinable @inline(__always)
  func needed(by access: ExtendedAccess) -> Permissions {
    if access.kind == .execute, access.isUser, hasModeBasedExecute { return .userExecute }
    return Permissions(for: access.kind)
  }

  @inlinable @inline(__always)
  static func size(_ level: UInt8) -> MappingSize {
    switch level {
    case 1: .page4K
    case 2: .page2M
    default: .page1G
    }
  }

  @inlinable
  func complete<Guest: NestingLevel, Structures: PagingStructures>(
    _ guest: PhysicalAddress<Guest>, _ access: ExtendedAccess, _ leaf: UInt64, _ permissions: Permissions,
    _ state: WalkState, in structures: borrowing Structures
  ) throws(ExtendedFault) -> ExtendedMapping<Structures.Level> where Structures.Failure == ExtendedFault {
    let writes = access.kind == .write || access.isPagingStructure && hasAccessedAndDirtyFlags
    var needed = needed(by: access)
    if writes { needed.insert(.write) }
    guard permissions.isSuperset(of: needed) else { throw violation(access, permissions) }
    let dirties = hasAccessedAndDirtyFlags && writes && leaf & EPTEntry.dirty == 0
    if hasAccessedAndDirtyFlags { try setFlags(state, dirties: dirties, in: structures) }
    let size = Self.size(state.level)
    var mapping = ExtendedMapping<Structures.Level>(
      address: PhysicalAddress(
        leaf & EPTEntry.addressMask & ~size.offsetMask | guest.rawValue & size.offsetMask),
      size: size, permissions: permissions, memoryType: UInt8(truncatingIfNeeded: leaf >> 3 & 7),
      ignoresPAT: leaf & EPTEntry.ignorePAT != 0,
      isDirty: !hasAccessedAndDirtyFlags || dirties || leaf & EPTEntry.dirty != 0,
      references: state.count)
    mapping.leaf = PhysicalAddress(state.entry(state.count &- 1))
    mapping.becameDirty = dirties
    return mapping
  }

  @inlinable
  func setFlags<Structures: PagingStructures>(
    _ state: WalkState, dirties: Bool, in structures: borrowing Structures
  ) throws(ExtendedFault) where Structures.Failure == ExtendedFault {
    guard dirties || state.notAccessed != 0 else { return }
    for position in 0..<state.count {
      var flags: UInt16 = 0
      if state.notAccessed & 1 << position != 0 { flags |= UInt16(EPTEntry.accessed) }
      if dirties, position == state.count &- 1 {
        flags |= UInt16(EPTEntry.dirty | EPTEntry.accessed)
      }
      guard flags != 0 else { continue }
      try structures.setFlags(flags, at: PhysicalAddress(state.entry(position)))
    }
  }

  /// Bits 6:0 of the exit qualification (SDM volume 3, "Exit Qualification for EPT Violations"). What sets a flag in a
  /// guest's paging structures both reads and writes.
  @inlinable
  func violation(_ access: ExtendedAccess, _ permissions: Permissions) -> ExtendedFault {
    var bits = UInt64(Permissions(for: access.kind).rawValue)
    if access.isPagingStructure, hasAccessedAndDirtyFlags || access.kind == .write { bits |= 3 }
    return .violation(qualification: bits | UInt64(permissions.rawValue) << 3)
  }
}
