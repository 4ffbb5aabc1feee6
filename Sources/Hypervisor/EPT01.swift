import X86

/// Builds ept01: L1-physical to L0-physical, all of L1's RAM, by 2-MByte pages wherever both sides are aligned.
///
/// Everything outside L1's RAM stays unmapped, so that an access to it is an EPT violation.
/// Source: SDM volume 3, "The Extended Page Table Mechanism (EPT)".
struct EPT01Builder {
  /// The bits of our entries: read, write and execute; write-back; the large-page bit.
  enum Bits {
    static let table: UInt64 = 0b111
    static let leaf: UInt64 = 0b111 | 6 << 3
    static let readable: UInt64 = 0b001 | 6 << 3
    static let writable: UInt64 = 0b011 | 6 << 3
    static let large: UInt64 = 1 << 7
    static let address: UInt64 = 0x000F_FFFF_FFFF_F000
  }

  let pool: PagePool

  /// The address of the PML4 table, or nil if the pool is exhausted.
  func build(_ layout: MachineLayout) -> PhysicalAddress<L0>? {
    guard let root = pool.allocatePage() else { return nil }
    for range in [layout.low, layout.high] {
      guard map(range, under: root) else { return nil }
    }
    return root
  }

  private func map(_ range: MachineLayout.Range, under root: PhysicalAddress<L0>) -> Bool {
    var offset: UInt64 = 0
    while offset < range.size {
      let source = range.l1.rawValue + offset
      let target = range.l0.rawValue + offset
      let largePage = MachineLayout.largePage
      let isLarge = (source | target) & (largePage - 1) == 0 && range.size - offset >= largePage
      guard let entry = entry(for: source, level: isLarge ? 2 : 1, under: root) else { return false }
      entry.storeBytes(of: target | Bits.leaf | (isLarge ? Bits.large : 0), as: UInt64.self)
      offset += isLarge ? largePage : 4096
    }
    return true
  }

  /// Where the entry that maps `address` at `level` (1 for a page table's, 2 for a page directory's) lies; tables on the
  /// way are made.
  private func entry(
    for address: UInt64, level: UInt64, under root: PhysicalAddress<L0>
  ) -> UnsafeMutableRawPointer? {
    var table = root
    for above in stride(from: UInt64(4), to: level, by: -1) {
      guard let slot = slot(of: address, level: above, in: table) else { return nil }
      let found = slot.load(as: UInt64.self)
      if found & Bits.table == 0 {
        guard let made = pool.allocatePage() else { return nil }
        slot.storeBytes(of: made.rawValue | Bits.table, as: UInt64.self)
        table = made
      } else {
        table = PhysicalAddress(found & Bits.address)
      }
    }
    return slot(of: address, level: level, in: table)
  }

  func slot(of address: UInt64, level: UInt64, in table: PhysicalAddress<L0>)
    -> UnsafeMutableRawPointer?
  {
    let index = address >> (12 + 9 * (level - 1)) & 511
    return pool.bytes(of: table).map { $0 + Int(index) * 8 }
  }
}
