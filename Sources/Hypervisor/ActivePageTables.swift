import NestedVMX
import Translation
import VMX
import X86

/// What a guest's translation of linear addresses depends on, but for its page tables and its privilege.
struct TranslationState: Equatable {
  var cr3: UInt64 = 0
  /// CR0.PG and CR0.WP, CR4.PSE, CR4.PAE and CR4.PCIDE, IA32_EFER.NXE and IA32_EFER.LMA, each in its place.
  var cr0: UInt64 = 0
  var cr4: UInt64 = 0
  var efer: UInt64 = 0
  /// The PDPTEs of PAE paging.
  var pdptes: [4 of UInt64] = .init(repeating: 0)

  init() {}

  init(of vmcs: VMCS) {
    cr3 = vmcs[.guestCR3]
    cr0 = vmcs[.guestCR0] & CR0([.pg, .wp]).rawValue
    cr4 = vmcs[.guestCR4] & CR4([.pse, .pae, .pcide]).rawValue
    efer = vmcs[.guestEFER] & EFER([.nxe, .lma]).rawValue
    guard isPaging, cr4 & CR4.pae.rawValue != 0, !isLong else { return }
    pdptes = [vmcs[.guestPDPTE0], vmcs[.guestPDPTE1], vmcs[.guestPDPTE2], vmcs[.guestPDPTE3]]
  }

  var isPaging: Bool { cr0 & CR0.pg.rawValue != 0 }
  /// The PCID that the guest's translations are tagged with, 0 without PCIDs.
  var pcid: UInt64 { cr4 & CR4.pcide.rawValue != 0 ? cr3 & 0xFFF : 0 }
  /// Whether the guest is in IA-32e mode, with four levels of tables; else the active ones are those of PAE paging.
  var isLong: Bool { efer & EFER.lma.rawValue != 0 }
  /// Whether the guest's own page tables are those of 32-bit paging.
  var is32Bit: Bool { isPaging && cr4 & CR4.pae.rawValue == 0 }

  static func == (left: Self, right: Self) -> Bool {
    guard
      left.cr3 == right.cr3, left.cr0 == right.cr0, left.cr4 == right.cr4, left.efer == right.efer
    else { return false }
    for number in 0..<4 where left.pdptes[number] != right.pdptes[number] { return false }
    return true
  }
}

/// An active page-table hierarchy: what the processor walks in place of a guest's own page tables, from linear addresses
/// straight to L0-physical ones, in pages of 4 KByte.
///
/// Like a TLB it may lack anything, and keeps what it has until the guest invalidates it.
/// Source: SDM volume 3, "Memory Virtualization" and "Virtual TLB Emulation".
struct ActivePageTables {
  /// The bits of an entry that refers to a table: all permissions, since the leaf has those of the guest.
  private static var table: UInt64 {
    PagingEntry.present | PagingEntry.writable | PagingEntry.user | PagingEntry.accessed
  }
  /// In an entry that refers to a table: below it are pieces of a larger page of the guest, which INVLPG of any address
  /// in it invalidates as a whole. The processor ignores the bit.
  private static var piecesBelow: UInt64 { 1 << 9 }

  /// What became of a mapping.
  enum Mapped {
    case changed
    /// It was there already, as it is.
    case known
    /// L0 has no page for a table.
    case exhausted
  }

  let root: L0Page
  /// The VPID and the PCID that the guest runs with.
  var vpid: UInt64 = 0
  var pcid: UInt64 = 0
  /// What it is made for.
  var state = TranslationState()
  /// When it was used last.
  var stamp: UInt64 = 0
  private var isEmpty = true

  init(root: L0Page) { self.root = root }

  /// 4 for the PML4 table, or 3 for the four PDPTEs.
  private var topLevel: UInt64 { state.isLong ? 4 : 3 }

  /// Maps the page of `linear` by the leaf entry `leaf`, of which the guest has a page of `size`.
  mutating func map(
    _ linear: UInt64, _ leaf: UInt64, pieceOf size: MappingSize, _ pool: PagePool,
    counting accesses: inout UInt64
  ) -> Mapped {
    isEmpty = false
    var table = root.bytes
    var level = topLevel
    while level > 1 {
      let slot = table + Self.offset(linear, level)
      var entry = slot.load(as: UInt64.self)
      accesses &+= 1
      if entry == 0 {
        guard let page = pool.allocate() else { return .exhausted }
        // A PDPTE of PAE paging has no permissions; those bits are reserved.
        let isPDPTE = !state.isLong && level == 3
        entry = page.address.rawValue | (isPDPTE ? PagingEntry.present : Self.table)
        accesses &+= 1
      }
      if level == Self.level(of: size) { entry |= Self.piecesBelow }
      slot.storeBytes(of: entry, as: UInt64.self)
      guard let next = pool.pointer(to: PhysicalAddress(entry & PagingEntry.addressMask)) else {
        return .exhausted
      }
      table = next
      level &-= 1
    }
    let slot = table + Self.offset(linear, 1)
    accesses &+= 1
    guard slot.load(as: UInt64.self) != leaf else { return .known }
    slot.storeBytes(of: leaf, as: UInt64.self)
    accesses &+= 1
    return .changed
  }

  /// Forgets the guest's page that `linear` is on, or was; returns whether that may have been more than 4 KByte.
  mutating func forget(_ linear: UInt64, _ pool: PagePool) -> Bool {
    let wasLarge = forgetPage(linear, ofLargeOnly: false, pool)
    // A page of 4 MByte lies below two entries.
    guard state.is32Bit else { return wasLarge }
    return forgetPage(linear ^ 1 << 21, ofLargeOnly: true, pool) || wasLarge
  }

  private func forgetPage(_ linear: UInt64, ofLargeOnly: Bool, _ pool: PagePool) -> Bool {
    var table = root.bytes
    var level = topLevel
    while level > 1 {
      let slot = table + Self.offset(linear, level)
      let entry = slot.load(as: UInt64.self)
      guard entry != 0, let next = pool.pointer(to: PhysicalAddress(entry & PagingEntry.addressMask)) else {
        return false
      }
      if entry & Self.piecesBelow != 0 {
        slot.storeBytes(of: 0, as: UInt64.self)
        Self.free(next, level: level &- 1, pool)
        pool.freePage(PhysicalAddress(entry & PagingEntry.addressMask))
        return true
      }
      table = next
      level &-= 1
    }
    if !ofLargeOnly { (table + Self.offset(linear, 1)).storeBytes(of: 0, as: UInt64.self) }
    return false
  }

  /// Forgets everything.
  mutating func forgetAll(_ pool: PagePool) {
    guard !isEmpty else { return }
    Self.free(root.bytes, level: topLevel, pool)
    isEmpty = true
  }

  /// Clears `table`, which is one of `level`, and frees every table below it. The recursion is at most 3 deep.
  private static func free(_ table: UnsafeMutableRawPointer, level: UInt64, _ pool: PagePool) {
    for index in 0..<512 {
      let slot = table + index * 8
      let entry = slot.load(as: UInt64.self)
      guard entry != 0 else { continue }
      slot.storeBytes(of: 0, as: UInt64.self)
      guard level > 1 else { continue }
      let address = PhysicalAddress<L0>(entry & PagingEntry.addressMask)
      if level > 2, let next = pool.pointer(to: address) { free(next, level: level &- 1, pool) }
      pool.freePage(address)
    }
  }

  /// The offset of the entry that `linear` selects in a table of `level`.
  private static func offset(_ linear: UInt64, _ level: UInt64) -> Int {
    Int(truncatingIfNeeded: linear >> (12 &+ 9 &* (level &- 1)) & 0x1FF) &* 8
  }

  /// The level whose entries map a page of `size`; 1 for 4 KByte.
  private static func level(of size: MappingSize) -> UInt64 {
    switch size {
    case .page4K: 1
    case .page2M, .page4M: 2
    case .page1G: 3
    }
  }
}
