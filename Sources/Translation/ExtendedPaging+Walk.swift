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
    var permissions = Permissions.all
    var state = WalkState(table: root, level: 4)
    // Bits above the 48 that four levels translate have no mapping.
    guard guest.rawValue >> 48 == 0 else { throw violation(access, []) }
    while true {
      let shift = 12 &+ 9 &* UInt64(state.level &- 1)
      let entryAddress = state.table | (guest.rawValue >> shift & 0x1FF) << 3
      let entry = try structures.load(PhysicalAddress(entryAddress))
      permissions.formIntersection(Permissions(rawValue: UInt8(truncatingIfNeeded: entry & 7)))
      guard entry & 7 != 0 else { throw violation(access, permissions) }
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
    var needed = Permissions(for: access.kind)
    if writes { needed.insert(.write) }
    guard permissions.isSuperset(of: needed) else { throw violation(access, permissions) }
    let dirties = hasAccessedAndDirtyFlags && writes && leaf & EPTEntry.dirty == 0
    if hasAccessedAndDirtyFlags { try setFlags(state, dirties: dirties, in: structures) }
    let size = Self.size(state.level)
    return ExtendedMapping(
      address: PhysicalAddress(
        leaf & EPTEntry.addressMask & ~size.offsetMask | guest.rawValue & size.offsetMask),
      size: size, permissions: permissions, memoryType: UInt8(truncatingIfNeeded: leaf >> 3 & 7),
      ignoresPAT: leaf & EPTEntry.ignorePAT != 0,
      isDirty: !hasAccessedAndDirtyFlags || dirties || leaf & EPTEntry.dirty != 0,
      references: state.count)
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

  /// Bits 5:0 of the exit qualification (SDM volume 3, "Exit Qualification for EPT Violations").
  @inlinable
  func violation(_ access: ExtendedAccess, _ permissions: Permissions) -> ExtendedFault {
    var bits = UInt64(Permissions(for: access.kind).rawValue)
    if access.isPagingStructure, hasAccessedAndDirtyFlags { bits |= 3 }
    return .violation(qualification: bits | UInt64(permissions.rawValue) << 3)
  }
}
