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
    /// The guest-physical page, and in the low bits the kind of the access and that the entry is in use.
    var tag: UInt64 = 0
    /// The EPTP, whose bits 11:0 matter too.
    var eptPointer: UInt64 = 0
    /// The ``epoch`` that it was made in.
    var epoch: UInt64 = 0
    /// The L0-physical page.
    var host: UInt64 = 0
  }

  let entries: UnsafeMutablePointer<Entry>
  /// Grows with every invalidation: entries of other epochs are void.
  private(set) var epoch: UInt64 = 1

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

  /// The tag of an access to the page of `address`. An access to a paging structure has its own, since with accessed
  /// and dirty flags it needs the dirty flag.
  private static func tag(_ address: UInt64, _ access: ExtendedAccess) -> UInt64 {
    let kind: UInt64 =
      switch access.kind {
      case .read: 1
      case .write: 2
      case .execute: 3
      }
    return address & ~0xFFF | kind | (access.isPagingStructure ? 4 : 0)
  }

  private func place(_ tag: UInt64) -> UnsafeMutablePointer<Entry> {
    let hash = tag &>> 12 ^ tag &>> 23 ^ tag &<< 9
    return entries + Int(truncatingIfNeeded: hash & UInt64(truncatingIfNeeded: Self.count &- 1))
  }

  /// Where `address` is, if that is known.
  @inline(__always)
  func find(_ address: UInt64, _ access: ExtendedAccess, eptPointer: UInt64) -> UInt64? {
    let tag = Self.tag(address, access)
    let entry = place(tag)
    guard entry.pointee.tag == tag, entry.pointee.eptPointer == eptPointer, entry.pointee.epoch == epoch
    else {
      return nil
    }
    return entry.pointee.host | address & 0xFFF
  }

  /// Forgets the mappings of the page of `address`.
  func forget(_ address: UInt64) {
    for kind in [AccessKind.read, .write, .execute] {
      for isPagingStructure in [false, true] {
        let tag = Self.tag(address, ExtendedAccess(kind, isPagingStructure: isPagingStructure))
        if place(tag).pointee.tag == tag { place(tag).pointee.tag = 0 }
      }
    }
  }

  func insert(_ address: UInt64, _ access: ExtendedAccess, eptPointer: UInt64, host: UInt64) {
    let tag = Self.tag(address, access)
    place(tag).pointee = Entry(tag: tag, eptPointer: eptPointer, epoch: epoch, host: host & ~0xFFF)
  }
}
