import Translation
import VMX
import X86

/// The composed EPTs: ept02 for each of the EPT pointers that L1 used last, filled ahead or on demand.
///
/// Notation: an L2-physical address is mapped by ept12 to L1-physical, and by ept01 to L0-physical. A leaf of ept02
/// maps the 4-KByte page at once, with the permissions that both give.
struct ComposedEPT<Pages: L0Pages>: ~Copyable {
  /// The number of EPTPs of L1 whose composed tables L0 keeps.
  static var slotCount: Int { 8 }

  /// One composed EPT. Its root page stays, so that its EPTP is the slot's for good.
  struct Root {
    var page: L0Page
    /// The EPTP of L1 that it composes, or nil if it is unused and empty.
    var eptp12: UInt64?
    /// When it was used last.
    var stamp: UInt64 = 0
    /// Whether nothing has been composed since it was selected or dropped.
    var isEmpty = true
  }

  let pages: Pages
  /// Whether the processor has accessed and dirty flags for EPT.
  let hasFlags: Bool
  var roots: InlineArray<8, Root>
  var clock: UInt64 = 0
  /// The root that vmcs02 uses.
  var current = 0

  init(_ pages: Pages, hasFlags: Bool) throws(NestedSetupError) {
    var roots = InlineArray<8, Root>(repeating: Root(page: try OwnPages.page(pages)))
    for slot in 1..<Self.slotCount { roots[slot].page = try OwnPages.page(pages) }
    self.pages = pages
    self.hasFlags = hasFlags
    self.roots = roots
  }

  /// The EPTP of a slot: write-back, a walk of 4 levels; accessed and dirty flags if L1 has them, for with them the
  /// processor's walks of L2's paging structures count as writes.
  func eptPointer(ofSlot slot: Int) -> UInt64 {
    guard slot >= 0, slot < Self.slotCount else { return 0 }
    let hasFlags12 = EPTPointer(rawValue: roots[slot].eptp12 ?? 0).enablesAccessedAndDirty
    return EPTPointer(
      root: roots[slot].page.address.rawValue, enablesAccessedAndDirty: hasFlags && hasFlags12
    ).rawValue
  }

  /// Makes the composed EPT of `eptp12` current; returns the slot whose former contents were dropped for it, if any.
  mutating func select(_ eptp12: UInt64) -> Int? {
    clock &+= 1
    var oldest = 0
    for slot in 0..<Self.slotCount {
      if roots[slot].eptp12 == eptp12 {
        roots[slot].stamp = clock
        current = slot
        return nil
      }
      if roots[slot].stamp < roots[oldest].stamp { oldest = slot }
    }
    let wasUsed = roots[oldest].eptp12 != nil
    drop(slot: oldest)
    roots[oldest].eptp12 = eptp12
    roots[oldest].stamp = clock
    current = oldest
    return wasUsed ? oldest : nil
  }

  /// Drops the mappings of every EPTP with the same EPT PML4 table as `eptp12` (bits 51:12), or of all; returns the
  /// slots that lost mappings.
  mutating func drop(matching eptp12: UInt64?) -> UInt32 {
    var dropped: UInt32 = 0
    for slot in 0..<Self.slotCount {
      guard let mine = roots[slot].eptp12 else { continue }
      if let eptp12, (mine ^ eptp12) & EPTEntry.addressMask != 0 { continue }
      drop(slot: slot)
      dropped |= 1 << UInt32(slot)
    }
    return dropped
  }

  /// Whether the current composed EPT has no mapping yet.
  var isCurrentEmpty: Bool {
    get { roots[current].isEmpty }
    set { roots[current].isEmpty = newValue }
  }

  /// Takes the page of `guest` out of the composed EPT of every EPTP with the same EPT PML4 table as `eptp12`.
  func unmap(_ guest: PhysicalAddress<L2>, matching eptp12: UInt64, counting work: inout WorkCounters) {
    for slot in 0..<Self.slotCount {
      guard let mine = roots[slot].eptp12, (mine ^ eptp12) & EPTEntry.addressMask == 0 else { continue }
      unmap(guest, inSlot: slot, counting: &work)
    }
  }

  func unmap(_ guest: PhysicalAddress<L2>, inSlot slot: Int, counting work: inout WorkCounters) {
    var table = roots[slot].page.bytes
    var level: UInt64 = 4
    while level > 1 {
      let entry = EPTTable.load(table, EPTTable.index(guest.rawValue, level))
      work.memoryReads &+= 1
      guard entry != 0, let next = pages.pointer(to: PhysicalAddress(entry & EPTEntry.addressMask)) else {
        return
      }
      table = next
      level &-= 1
    }
    EPTTable.store(0, table, EPTTable.index(guest.rawValue, 1))
    work.memoryWrites &+= 1
  }

  /// Frees the tables under a root, and clears it.
  mutating func drop(slot: Int) {
    roots[slot].isEmpty = true
    EPTTable.freeTables(under: roots[slot].page.bytes, level: 4, pages)
  }

  /// Maps the page of `guest` in the current composed EPT; false if the pool has no page for a table.
  mutating func map(
    _ guest: PhysicalAddress<L2>, to page: PhysicalAddress<L0>, _ permissions: Permissions, memoryType: UInt8,
    counting work: inout WorkCounters
  ) -> Bool {
    isCurrentEmpty = false
    var table = roots[current].page.bytes
    var level: UInt64 = 4
    while level > 1 {
      guard let next = EPTTable.next(table, EPTTable.index(guest.rawValue, level), pages, &work) else {
        return false
      }
      table = next
      level &-= 1
    }
    let leaf =
      page.rawValue & EPTEntry.addressMask | UInt64(permissions.rawValue & 7) | UInt64(memoryType & 7) << 3
      | (permissions.contains(.userExecute) ? EPTPermissions.userExecute.rawValue : 0)
    EPTTable.store(leaf, table, EPTTable.index(guest.rawValue, 1))
    work.memoryWrites &+= 1
    return true
  }
}

/// One 4-KByte EPT paging structure as L0 builds it: 512 entries.
enum EPTTable {
  /// The index of the entry that `guest` selects at `level`, 4 for the EPT PML4 table down to 1.
  static func index(_ guest: UInt64, _ level: UInt64) -> Int {
    Int(truncatingIfNeeded: guest >> (12 &+ 9 &* (level &- 1)) & 0x1FF)
  }

  static func load(_ table: UnsafeMutableRawPointer, _ index: Int) -> UInt64 {
    table.load(fromByteOffset: index &* 8, as: UInt64.self)
  }

  static func store(_ entry: UInt64, _ table: UnsafeMutableRawPointer, _ index: Int) {
    table.storeBytes(of: entry, toByteOffset: index &* 8, as: UInt64.self)
  }

  /// The table that an entry refers to, made if there is none; nil if the pool is exhausted.
  static func next<Pages: L0Pages>(
    _ table: UnsafeMutableRawPointer, _ index: Int, _ pages: Pages, _ work: inout WorkCounters
  ) -> UnsafeMutableRawPointer? {
    let entry = load(table, index)
    work.memoryReads &+= 1
    if entry != 0 { return pages.pointer(to: PhysicalAddress(entry & EPTEntry.addressMask)) }
    guard let page = pages.allocate() else { return nil }
    let permissions = EPTPermissions.all.union(.userExecute)
    store(EPTEntry(table: page.address.rawValue, permissions: permissions).rawValue, table, index)
    work.memoryWrites &+= 1
    return page.bytes
  }

  /// Frees every table below `table`, which is one of `level`, and clears it. The recursion is at most 3 deep.
  static func freeTables<Pages: L0Pages>(
    under table: UnsafeMutableRawPointer, level: UInt64, _ pages: Pages
  ) {
    for index in 0..<512 {
      let entry = load(table, index)
      guard entry != 0 else { continue }
      store(0, table, index)
      guard level > 1 else { continue }
      let address = PhysicalAddress<L0>(entry & EPTEntry.addressMask)
      if level > 2, let next = pages.pointer(to: address) {
        freeTables(under: next, level: level &- 1, pages)
      }
      pages.free(address)
    }
  }
}
