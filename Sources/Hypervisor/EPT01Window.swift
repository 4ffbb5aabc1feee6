import NestedVMX
import X86

/// A page of L0's own that ept01 maps for a while where L1 has a device, and the tables made for it.
struct EPT01Window {
  /// What it is in the place of.
  let page: PhysicalAddress<L1>
  /// Its bytes, for L0 to fill and to read.
  let shown: L0Page
  /// The entries of tables that point to tables made for it, and those tables, the higher first.
  fileprivate var made: [(slot: UnsafeMutableRawPointer, table: PhysicalAddress<L0>)] = []
  /// The entry that maps it.
  fileprivate var leaf: UnsafeMutableRawPointer?

  fileprivate init(_ page: PhysicalAddress<L1>, _ shown: L0Page) {
    self.page = page
    self.shown = shown
  }
}

extension EPT01Builder {
  /// Maps a page of L0's, zero at first, at `page`, which ept01 under `root` does not map, for reads and no writes. Nil if
  /// something is mapped there, or the pool is exhausted; then nothing has changed.
  func openWindow(at page: PhysicalAddress<L1>, under root: PhysicalAddress<L0>) -> EPT01Window? {
    guard let shown = pool.allocate() else { return nil }
    var window = EPT01Window(page, shown)
    guard let leaf = leaf(of: page.rawValue, under: root, noting: &window), leaf.load(as: UInt64.self) == 0
    else {
      closeWindow(window)
      return nil
    }
    window.leaf = leaf
    leaf.storeBytes(of: shown.address.rawValue | Bits.readable, as: UInt64.self)
    return window
  }

  /// The entry of a page table for `address`; tables on the way are made, and noted in `window`.
  private func leaf(
    of address: UInt64, under root: PhysicalAddress<L0>, noting window: inout EPT01Window
  ) -> UnsafeMutableRawPointer? {
    var table = root
    for level in stride(from: UInt64(4), to: 1, by: -1) {
      guard let slot = slot(of: address, level: level, in: table) else { return nil }
      let found = slot.load(as: UInt64.self)
      if found & Bits.table == 0 {
        guard let made = pool.allocatePage() else { return nil }
        slot.storeBytes(of: made.rawValue | Bits.table, as: UInt64.self)
        window.made.append((slot, made))
        table = made
      } else {
        guard found & Bits.large == 0 else { return nil }
        table = PhysicalAddress(found & Bits.address)
      }
    }
    return slot(of: address, level: 1, in: table)
  }

  /// Lets L1 write to the page, too.
  func makeWritable(_ window: EPT01Window) {
    window.leaf?.storeBytes(of: window.shown.address.rawValue | Bits.writable, as: UInt64.self)
  }

  /// Takes `window` away again. Those that share tables are closed in the order opposite to that of their opening.
  func closeWindow(_ window: EPT01Window) {
    window.leaf?.storeBytes(of: 0, as: UInt64.self)
    for (slot, table) in window.made.reversed() {
      slot.storeBytes(of: 0, as: UInt64.self)
      pool.freePage(table)
    }
    pool.freePage(window.shown.address)
  }
}
