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
  static let count = 16384
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

  /// Forgets every translation of every context, without a look at the entries: their tags name nothing any more.
  mutating func retireAll() {
    contexts.retire { _ in true }
    lowestLarge = .max
    highestLarge = 0
  }

  /// The same, with all tags free again.
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
  /// LMA, bit 6 mode-based execute control for EPT.
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
///
/// Finding one and retiring some take a time that does not grow with those used up: a guest may write CR3 or CR4 in every
/// other instruction.
struct TranslationContexts {
  /// The context of tag `n << 1`, from 1 to `used - 1`.
  let table: UnsafeMutablePointer<TranslationContext>
  private var used = 1
  /// The numbers of those that are live, in no order.
  private let live: UnsafeMutablePointer<UInt16>
  private var liveCount = 0
  /// Where contexts are found, by a hash of their contents: ``ways`` numbers for each, the latest first; 0 is none. One
  /// that has been pushed out is never found again, and gets another tag.
  private let sets: UnsafeMutablePointer<UInt16>

  static let capacity = 1024
  private static let setCount = 128
  private static let ways = 4

  private init() {
    table = .allocate(capacity: Self.capacity)
    table.initialize(repeating: TranslationContext(), count: Self.capacity)
    live = .allocate(capacity: Self.capacity)
    live.initialize(repeating: 0, count: Self.capacity)
    sets = .allocate(capacity: Self.setCount * Self.ways)
    sets.initialize(repeating: 0, count: Self.setCount * Self.ways)
  }

  static func allocate() -> TranslationContexts { TranslationContexts() }

  func deallocate() {
    table.deallocate()
    live.deallocate()
    sets.deallocate()
  }

  mutating func reset() {
    table.update(repeating: TranslationContext(), count: Self.capacity)
    sets.update(repeating: 0, count: Self.setCount * Self.ways)
    used = 1
    liveCount = 0
  }

  /// The tag of `context`, or nil when all tags are used up and the tables have to be reset first.
  mutating func tag(of context: TranslationContext) -> UInt64? {
    let set = sets + Self.place(of: context)
    for way in 0..<Self.ways {
      let number = Int(set[way])
      if number != 0, table[number] == context { return UInt64(number) << 1 }
    }
    guard used < Self.capacity else { return nil }
    insert(UInt16(used), into: set)
    table[used] = context
    live[liveCount] = UInt16(used)
    liveCount += 1
    used += 1
    return UInt64(used - 1) << 1
  }

  /// The VPID of the context that an entry with `tag` is of.
  func vpid(ofTag tag: UInt64) -> UInt16 { table[Int(truncatingIfNeeded: tag >> 1 & 0x3FF)].vpid }

  private static func place(of context: TranslationContext) -> Int {
    var hash = context.cr3 &>> 12 ^ context.eptPointer &>> 12 ^ UInt64(context.vpid) &* 0x9E37
    hash ^= UInt64(context.flags) &* 0x85 ^ context.cr4 &>> 4 ^ context.cr3 &<< 2 ^ hash &>> 8
    return Int(truncatingIfNeeded: hash & UInt64(truncatingIfNeeded: setCount &- 1)) &* ways
  }

  /// Puts `number` first, in the place of one that is retired, or else of the oldest.
  private func insert(_ number: UInt16, into set: UnsafeMutablePointer<UInt16>) {
    var way = Self.ways &- 1
    for candidate in 0..<Self.ways where !table[Int(set[candidate])].isLive {
      way = candidate
      break
    }
    while way > 0 {
      set[way] = set[way &- 1]
      way &-= 1
    }
    set[0] = number
  }

  /// Retires every context that `matches`: no entry tagged with it will ever hit again.
  mutating func retire(where matches: (TranslationContext) -> Bool) {
    var position = 0
    while position < liveCount {
      let number = Int(live[position])
      guard matches(table[number]) else {
        position &+= 1
        continue
      }
      table[number] = TranslationContext()
      liveCount &-= 1
      live[position] = live[liveCount]
    }
  }
}
