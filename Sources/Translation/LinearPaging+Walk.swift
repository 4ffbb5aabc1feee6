import X86

/// What a walk knows on its way down: the permissions so far, and the entries it used.
@usableFromInline
struct WalkState {
  @usableFromInline var table: UInt64
  /// 4 for a PML4 down to 1 for a page table.
  @usableFromInline var level: UInt8
  @usableFromInline var isWritable = true
  @usableFromInline var isUser = true
  @usableFromInline var isExecutable = true
  /// The entries used so far, for the accessed flags.
  @usableFromInline var entries: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  @usableFromInline var notAccessed: UInt8 = 0
  @usableFromInline var count: UInt8 = 0

  @inlinable @inline(__always)
  init(table: UInt64, level: UInt8) {
    self.table = table
    self.level = level
  }

  @inlinable @inline(__always)
  mutating func note(_ address: UInt64, accessed: Bool) {
    switch count {
    case 0: entries.0 = address
    case 1: entries.1 = address
    case 2: entries.2 = address
    default: entries.3 = address
    }
    if !accessed { notAccessed |= 1 << count }
    count &+= 1
  }

  /// The address of the entry used at `position` of the walk.
  @inlinable
  func entry(_ position: UInt8) -> UInt64 {
    switch position {
    case 0: entries.0
    case 1: entries.1
    case 2: entries.2
    default: entries.3
    }
  }

  @inlinable @inline(__always)
  mutating func narrow(by entry: UInt64, executeDisable: Bool) {
    isWritable = isWritable && entry & PagingEntry.writable != 0
    isUser = isUser && entry & PagingEntry.user != 0
    isExecutable = isExecutable && !(executeDisable && entry & PagingEntry.executeDisable != 0)
  }
}

extension LinearPaging {
  /// Translates `linear` for `access`: checks the rights, then sets the accessed flags of the entries used and, for
  /// a write, the dirty flag of the leaf.
  ///
  /// Linear addresses outside the mode's width (non-canonical ones, above 4 GByte) are the caller's to refuse; the
  /// walk ignores the upper bits.
  @inlinable
  public func translate<Structures: PagingStructures>(
    _ linear: UInt64, for access: LinearAccess, in structures: borrowing Structures
  ) throws(LinearFault<Structures.Failure>) -> LinearMapping<Structures.Level> {
    guard mode != .none else { return unpaged(linear) }
    guard var state = root(linear) else { throw fault(access, []) }
    while true {
      let entryAddress = state.table | index(linear, state.level)
      let entry = try load(entryAddress, in: structures)
      guard entry & PagingEntry.present != 0 else { throw fault(access, []) }
      let isLeaf = isLeaf(entry, state.level)
      guard entry & reservedBits(state.level, isLeaf: isLeaf) == 0 else {
        throw fault(access, [.present, .reserved])
      }
      state.narrow(by: entry, executeDisable: controls.contains(.executeDisable))
      state.note(entryAddress, accessed: entry & PagingEntry.accessed != 0)
      if isLeaf { return try complete(linear, access, entry, state, in: structures) }
      state.table = entry & addressMask
      state.level &-= 1
    }
  }

  @inlinable
  func unpaged<Level: NestingLevel>(_ linear: UInt64) -> LinearMapping<Level> {
    LinearMapping(
      address: PhysicalAddress(linear & 0xFFFF_FFFF), size: .page4K, isWritable: true, isUser: true,
      isExecutable: true, isDirty: true, isGlobal: false, references: 0)
  }

  /// The table that the walk begins in. For PAE paging, the PDPTE is a register without permissions; nil if it is
  /// not present.
  @inlinable @inline(__always)
  func root(_ linear: UInt64) -> WalkState? {
    switch mode {
    case .none, .fourLevel: return WalkState(table: cr3 & addressMask, level: 4)
    case .bits32: return WalkState(table: cr3 & 0xFFFF_F000, level: 2)
    case .pae:
      let entry =
        switch linear >> 30 & 3 {
        case 0: pdptes.0
        case 1: pdptes.1
        case 2: pdptes.2
        default: pdptes.3
        }
      guard entry & PagingEntry.present != 0 else { return nil }
      return WalkState(table: entry & addressMask, level: 2)
    }
  }

  @inlinable @inline(__always)
  var addressMask: UInt64 {
    mode == .bits32 ? 0xFFFF_F000 : PagingEntry.addressMask & ((1 << UInt64(physicalAddressWidth)) &- 1)
  }

  /// The offset in its table of the entry that `linear` selects.
  @inlinable @inline(__always)
  func index(_ linear: UInt64, _ level: UInt8) -> UInt64 {
    if mode == .bits32 { return (linear >> (level == 2 ? 22 : 12) & 0x3FF) << 2 }
    return (linear >> (12 &+ 9 &* UInt64(level &- 1)) & 0x1FF) << 3
  }

  @inlinable
  func load<Structures: PagingStructures>(
    _ address: UInt64, in structures: borrowing Structures
  ) throws(LinearFault<Structures.Failure>) -> UInt64 {
    do throws(Structures.Failure) {
      let word = try structures.load(PhysicalAddress(address & ~7))
      guard mode == .bits32 else { return word }
      return address & 4 == 0 ? word & 0xFFFF_FFFF : word >> 32
    } catch {
      throw .structures(error)
    }
  }

  @inlinable @inline(__always)
  func isLeaf(_ entry: UInt64, _ level: UInt8) -> Bool {
    switch level {
    case 1: true
    case 2:
      entry & PagingEntry.pageSize != 0 && (mode != .bits32 || controls.contains(.pageSizeExtensions))
    case 3: entry & PagingEntry.pageSize != 0
    default: false
    }
  }

  /// The bits that must be 0 in an entry (SDM volume 3, "Hierarchical Paging Structures: an Overview" and the
  /// tables of entry formats after it).
  @inlinable @inline(__always)
  func reservedBits(_ level: UInt8, isLeaf: Bool) -> UInt64 {
    if mode == .bits32 {
      // A 4-MByte page has address bits 39:32 in bits 20:13, as far as the physical-address width goes.
      guard level == 2, isLeaf else { return 0 }
      let usable = min(UInt64(physicalAddressWidth), 40) &- 32
      return 0x003F_E000 & ~(((1 << usable) &- 1) << 13)
    }
    var bits = ((1 << 52) &- 1) & ~((1 << UInt64(physicalAddressWidth)) &- 1) as UInt64
    if !controls.contains(.executeDisable) { bits |= PagingEntry.executeDisable }
    if mode == .pae { bits |= 0x7FF << 52 }
    if level == 4 { bits |= PagingEntry.pageSize }
    if isLeaf, level == 3 {
      bits |= 0x3FFF_E000
      if controls.contains(.withoutPagesOf1GByte) { bits |= PagingEntry.pageSize }
    }
    if isLeaf, level == 2 { bits |= 0x001F_E000 }
    return bits
  }

  /// Whether the rights allow `access` (SDM volume 3, "Determination of Access Rights").
  @inlinable @inline(__always)
  func permits(_ access: LinearAccess, _ state: WalkState) -> Bool {
    if access.isUser {
      guard state.isUser else { return false }
      switch access.kind {
      case .read: return true
      case .write: return state.isWritable
      case .execute: return state.isExecutable
      }
    }
    switch access.kind {
    case .execute:
      return state.isExecutable && !(state.isUser && controls.contains(.supervisorExecutionPrevention))
    case .read, .write:
      if state.isUser, access.obeysSMAP, controls.contains(.supervisorAccessPrevention) { return false }
      return access.kind == .read || state.isWritable || !controls.contains(.writeProtect)
    }
  }

  @inlinable
  func complete<Structures: PagingStructures>(
    _ linear: UInt64, _ access: LinearAccess, _ leaf: UInt64, _ state: WalkState,
    in structures: borrowing Structures
  ) throws(LinearFault<Structures.Failure>) -> LinearMapping<Structures.Level> {
    guard permits(access, state) else { throw fault(access, .present) }
    let dirties = access.kind == .write && leaf & PagingEntry.dirty == 0
    do throws(Structures.Failure) {
      try setFlags(state, dirties: dirties, in: structures)
    } catch {
      throw .structures(error)
    }
    let size = size(state.level)
    return LinearMapping(
      address: PhysicalAddress(base(leaf, size) | linear & size.offsetMask), size: size,
      isWritable: state.isWritable, isUser: state.isUser, isExecutable: state.isExecutable,
      isDirty: dirties || leaf & PagingEntry.dirty != 0, isGlobal: leaf & PagingEntry.global != 0,
      references: state.count)
  }

  @inlinable
  func setFlags<Structures: PagingStructures>(
    _ state: WalkState, dirties: Bool, in structures: borrowing Structures
  ) throws(Structures.Failure) {
    guard dirties || state.notAccessed != 0 else { return }
    for position in 0..<state.count {
      var flags: UInt16 = 0
      if state.notAccessed & 1 << position != 0 { flags |= UInt16(PagingEntry.accessed) }
      if dirties, position == state.count &- 1 { flags |= UInt16(PagingEntry.dirty | PagingEntry.accessed) }
      guard flags != 0 else { continue }
      try structures.setFlags(flags, at: PhysicalAddress(state.entry(position)))
    }
  }

  @inlinable @inline(__always)
  func size(_ level: UInt8) -> MappingSize {
    switch level {
    case 1: .page4K
    case 2: mode == .bits32 ? .page4M : .page2M
    default: .page1G
    }
  }

  @inlinable @inline(__always)
  func base(_ leaf: UInt64, _ size: MappingSize) -> UInt64 {
    guard size == .page4M else { return leaf & addressMask & ~size.offsetMask }
    return leaf & 0xFFC0_0000 | (leaf >> 13 & 0xFF) << 32
  }

  @inlinable
  func fault<Failure: Error>(_ access: LinearAccess, _ cause: PageFaultErrorCode) -> LinearFault<Failure> {
    var code = cause
    if access.kind == .write { code.insert(.write) }
    if access.isUser { code.insert(.user) }
    let reportsFetch =
      controls.contains(.supervisorExecutionPrevention)
      || (mode != .bits32 && controls.contains(.executeDisable))
    if access.kind == .execute, reportsFetch { code.insert(.fetch) }
    return .pageFault(code)
  }
}
