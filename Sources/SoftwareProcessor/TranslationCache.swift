/// One entry of the software TLB.
struct TranslationEntry {
  /// The linear page, with the tag of its context in bits 11:1; bit 0 is ``TranslationCache/holdsCode``. Zero is empty.
  var tag: UInt64
  /// What to add to a linear address of the page to get its host address.
  var addend: Int
}

/// The software TLB: separate direct-mapped tables for reads, writes and instruction fetches, and the contexts that
/// their tags name.
///
/// Only canonical addresses of RAM enter it, and a page enters the write table only when every level of paging lets
/// it be written and has its dirty flag set.
struct TranslationCache {
  var reads: UnsafeMutablePointer<TranslationEntry>
  var writes: UnsafeMutablePointer<TranslationEntry>
  var fetches: UnsafeMutablePointer<TranslationEntry>
  var contexts: TranslationContexts
  /// The lowest and the highest linear address translated by a guest page larger than 4 KByte since the last reset.
  var lowestLarge: UInt64 = .max
  var highestLarge: UInt64 = 0

  /// The memory references of page walks so far: to the guest's paging structures, and to EPT's.
  var references: (guest: UInt64, ept: UInt64) = (0, 0)

  /// The number of entries in each table; a power of two.
  static let count = 4096
  /// Marks a write entry whose page holds decoded code, so that the inline lookup misses.
  static let holdsCode: UInt64 = 1

  static func allocate() -> TranslationCache {
    func table() -> UnsafeMutablePointer<TranslationEntry> {
      let table = UnsafeMutablePointer<TranslationEntry>.allocate(capacity: count)
      table.initialize(repeating: TranslationEntry(tag: 0, addend: 0), count: count)
      return table
    }
    return TranslationCache(reads: table(), writes: table(), fetches: table(), contexts: .allocate())
  }

  func deallocate() {
    reads.deallocate()
    writes.deallocate()
    fetches.deallocate()
    contexts.deallocate()
  }

  /// The place of `linear`'s entry in each table.
  @inline(always)
  static func index(_ linear: UInt64) -> Int {
    Int(truncatingIfNeeded: (linear &>> 12) & UInt64(truncatingIfNeeded: count &- 1))
  }

  /// Forgets every translation of every context.
  mutating func reset() {
    for table in [reads, writes, fetches] {
      table.update(repeating: TranslationEntry(tag: 0, addend: 0), count: Self.count)
    }
    contexts.reset()
    lowestLarge = .max
    highestLarge = 0
  }
}

/// The privilege that an access is made with (SDM volume 3, "Determination of Access Rights").
enum Privilege: UInt8 {
  /// A user-mode access: CPL 3.
  case user
  /// An explicit supervisor-mode access: CPL below 3; with CR4.SMAP, RFLAGS.AC decides about user pages.
  case supervisor
  /// An implicit supervisor-mode access: the processor's own, to descriptor tables and the TSS, whatever the CPL.
  case implicitSupervisor
}

/// Everything that the translation of a linear address depends on but the tables in memory.
struct TranslationContext: Equatable {
  var eptPointer: UInt64 = 0
  var cr3: UInt64 = 0
  /// CR4's and EFER's paging bits: PSE, PAE, PGE, PCIDE, SMEP, SMAP, PKE.
  var cr4: UInt64 = 0
  var vpid: UInt16 = 0
  /// The APIC-access page, which no entry leads to.
  var apicAccessPage: UInt64 = VirtualAPICState.noPage
  /// Bit 0 user, bit 1 explicit supervisor access with AC, bits 2 and 3 CR0.WP and CR0.PG, bits 4 and 5 EFER.NXE and
  /// LMA.
  var flags: UInt8 = 0
  /// Whether translations may be tagged with it; a retired context is never found again.
  var isLive = false
}

/// The tags of the contexts in use, at bits 11:1.
struct ContextTags {
  /// The tag of explicit accesses, with ``watched`` if each of them has to be looked at.
  var data: UInt64 = 0
  var system: UInt64 = 0
  var fetch: UInt64 = 0

  /// In `data`: every inline lookup misses, because alignment is checked or data breakpoints are set. No context has
  /// a tag with this bit.
  static let watched: UInt64 = 1 << 11

  /// The tag that entries carry.
  var entries: UInt64 { data & ~Self.watched }
  var isWatched: Bool { data & Self.watched != 0 }
}

/// The contexts that the software TLB's tags name. World switches and privilege changes only select another one.
struct TranslationContexts {
  /// The context of tag `n << 1`, from 1 to `used - 1`.
  var table: UnsafeMutablePointer<TranslationContext>
  var used = 1
  /// Where the last few contexts were found, by a hash of their contents.
  var recent: UnsafeMutablePointer<UInt16>

  static let capacity = 1024
  static let recentCount = 256

  static func allocate() -> TranslationContexts {
    let table = UnsafeMutablePointer<TranslationContext>.allocate(capacity: capacity)
    table.initialize(repeating: TranslationContext(), count: capacity)
    let recent = UnsafeMutablePointer<UInt16>.allocate(capacity: recentCount)
    recent.initialize(repeating: 0, count: recentCount)
    return TranslationContexts(table: table, recent: recent)
  }

  func deallocate() {
    table.deallocate()
    recent.deallocate()
  }

  mutating func reset() {
    table.update(repeating: TranslationContext(), count: Self.capacity)
    recent.update(repeating: 0, count: Self.recentCount)
    used = 1
  }

  /// The tag of `context`, or nil when all tags are used up and the tables have to be reset first.
  mutating func tag(of context: TranslationContext) -> UInt64? {
    var hash = context.cr3 &>> 12 ^ context.eptPointer &>> 12 ^ UInt64(context.vpid) &* 0x9E37
    hash = (hash ^ UInt64(context.flags) &* 0x85 ^ hash &>> 8) & UInt64(Self.recentCount - 1)
    let slot = Int(truncatingIfNeeded: hash)
    let found = Int(recent[slot])
    if table[found] == context { return UInt64(found) << 1 }
    for index in 1..<max(used, 1) where table[index] == context {
      recent[slot] = UInt16(index)
      return UInt64(index) << 1
    }
    guard used < Self.capacity else { return nil }
    table[used] = context
    recent[slot] = UInt16(used)
    used += 1
    return UInt64(used - 1) << 1
  }

  /// Retires every context that `matches`: no entry tagged with it will ever hit again.
  mutating func retire(where matches: (TranslationContext) -> Bool) {
    for index in 1..<max(used, 1) where table[index].isLive && matches(table[index]) {
      table[index] = TranslationContext()
    }
  }
}
