import Translation

/// The guest-physical mappings that the processor caches: of a page by one EPT, for one kind of access.
///
/// With it a walk of the guest's tables costs one EPT walk less for each table that it goes through. It is not
/// consulted by accesses that hit the software TLB, which holds combined mappings. INVEPT empties it, and an
/// EPT violation takes the page that met it away.
/// Source: SDM volume 3, "Information That May Be Cached" and "Operations that Invalidate Cached Mappings".
struct GuestPhysicalCache {
  /// One mapping.
  struct Entry {
    /// The guest-physical page.
    var page: UInt64 = 0
    /// All that the access depends on: whatever it has, decides.
    var access = ExtendedAccess(.read)
    /// The EPT and what else decides how it is walked.
    var key: UInt64 = 0
    /// The ``epoch`` that it was made in; 0 is none.
    var epoch: UInt64 = 0
    /// The L0-physical page.
    var host: UInt64 = 0
  }

  private let entries: UnsafeMutablePointer<Entry>
  /// Grows with every invalidation: entries of other epochs are void.
  private var epoch: UInt64 = 1

  /// The number of entries; a power of two.
  private static let count = 2048

  static func allocate() -> GuestPhysicalCache {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: count)
    entries.initialize(repeating: Entry(), count: count)
    return GuestPhysicalCache(entries: entries)
  }

  func deallocate() { entries.deallocate() }

  /// Forgets every mapping.
  mutating func reset() { epoch &+= 1 }

  /// What tells the mappings of an EPTP apart: mode-based execute control changes what its entries mean.
  @inline(__always)
  static func key(_ eptPointer: UInt64, hasModeBasedExecute: Bool) -> UInt64 {
    // Bit 63 of an EPTP is reserved.
    eptPointer | (hasModeBasedExecute ? 1 << 63 : 0)
  }

  /// The place of a mapping. Each page has six: for reads, writes and fetches, of data and of paging structures.
  private func place(_ page: UInt64, _ kind: AccessKind, _ isPagingStructure: Bool) -> UnsafeMutablePointer<
    Entry
  > {
    let way = UInt64(kind.rawValue) &<< 1 | (isPagingStructure ? 1 : 0)
    let hash = page &>> 12 ^ page &>> 23 ^ way &<< 8
    return entries + Int(truncatingIfNeeded: hash & UInt64(truncatingIfNeeded: Self.count &- 1))
  }

  /// Where `address` is, if that is known. `key` names the EPT and what else decides how it is walked.
  @inline(__always)
  func find(_ address: UInt64, _ access: ExtendedAccess, key: UInt64) -> UInt64? {
    let page = address & ~0xFFF
    let entry = place(page, access.kind, access.isPagingStructure)
    guard entry.pointee.page == page, entry.pointee.key == key, entry.pointee.epoch == epoch,
      entry.pointee.access == access
    else { return nil }
    return entry.pointee.host | address & 0xFFF
  }

  /// Forgets the mappings of the page of `address`.
  func forget(_ address: UInt64) {
    let page = address & ~0xFFF
    for kind in [AccessKind.read, .write, .execute] {
      for isPagingStructure in [false, true] {
        let entry = place(page, kind, isPagingStructure)
        if entry.pointee.page == page { entry.pointee.epoch = 0 }
      }
    }
  }

  func insert(_ address: UInt64, _ access: ExtendedAccess, key: UInt64, host: UInt64) {
    let page = address & ~0xFFF
    place(page, access.kind, access.isPagingStructure).pointee = Entry(
      page: page, access: access, key: key, epoch: epoch, host: host & ~0xFFF)
  }
}
