import GuestMemory
import NestedVMX
import X86

/// L0's own 4-KByte pages in L0-physical memory: VMCSs, bitmaps, EPT tables.
///
/// A trivial value that refers to the pool's state, which the machine owns. Freed pages are threaded into a list
/// through their own first word.
struct PagePool: @unchecked Sendable {
  struct State {
    /// The next page that was never handed out.
    var fresh: UInt64
    var end: UInt64
    /// The first freed page, or 0.
    var freed: UInt64 = 0
  }

  let state: UnsafeMutablePointer<State>
  let base: UnsafeMutableRawPointer
  let size: UInt64

  /// The pages of `memory` below `size`, but for page 0: an address of 0 is none of ours.
  init(memory: PhysicalMemory, size: UInt64) {
    state = .allocate(capacity: 1)
    state.initialize(to: State(fresh: 4096, end: min(size, memory.size)))
    base = memory.base
    self.size = min(size, memory.size)
  }

  func deallocate() { state.deallocate() }

  /// The L0-physical address of a page whose bytes are all zero, or nil if the pool is exhausted.
  func allocatePage() -> PhysicalAddress<L0>? {
    let freed = state.pointee.freed
    if freed != 0 {
      let page = base + Int(freed)
      state.pointee.freed = page.load(as: UInt64.self)
      page.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
      return PhysicalAddress(freed)
    }
    let fresh = state.pointee.fresh
    guard fresh &+ 4096 <= state.pointee.end else { return nil }
    state.pointee.fresh = fresh &+ 4096
    return PhysicalAddress(fresh)
  }

  /// Takes a page of the pool back.
  func freePage(_ page: PhysicalAddress<L0>) {
    guard page.pageOffset == 0, page.rawValue != 0, page.rawValue < state.pointee.fresh else { return }
    (base + Int(page.rawValue)).storeBytes(of: state.pointee.freed, as: UInt64.self)
    state.pointee.freed = page.rawValue
  }

  /// The bytes of the pool's page at `page`, or nil if it is not one.
  func bytes(of page: PhysicalAddress<L0>) -> UnsafeMutableRawPointer? {
    guard page.page.rawValue < size else { return nil }
    return base + Int(page.page.rawValue)
  }
}

extension PagePool: L0Pages {
  func allocate() -> L0Page? {
    guard let page = allocatePage(), let bytes = bytes(of: page) else { return nil }
    return L0Page(address: page, bytes: bytes)
  }

  func free(_ page: PhysicalAddress<L0>) { freePage(page) }

  func pointer(to address: PhysicalAddress<L0>) -> UnsafeMutableRawPointer? { bytes(of: address) }
}
