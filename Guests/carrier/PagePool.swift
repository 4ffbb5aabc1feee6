import CCarrier
import NestedVMX
import X86

/// The carrier's pages: VMCSs, bitmaps, EPT paging structures. Its paging maps memory to itself, so that a page's address
/// is its pointer.
///
/// Pages given back are threaded into a list through their own first word.
struct PagePool: L0Pages {
  /// The next page that was never handed out, and the first one given back, or 0: in the first page of the pool.
  private var state: UnsafeMutablePointer<UInt64> { UnsafeMutablePointer(physical: address_of_page_pool()) }

  init() { state[0] = address_of_page_pool() &+ 4096 }

  func allocate() -> L0Page? {
    let freed = state[1]
    if freed != 0 {
      let page = L0Page(address: PhysicalAddress(freed), bytes: UnsafeMutableRawPointer(physical: freed))
      state[1] = page.bytes.load(as: UInt64.self)
      page.bytes.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
      return page
    }
    let fresh = state[0]
    guard fresh < address_of_page_pool_end() else { return nil }
    state[0] = fresh &+ 4096
    return L0Page(address: PhysicalAddress(fresh), bytes: UnsafeMutableRawPointer(physical: fresh))
  }

  func free(_ page: PhysicalAddress<L0>) {
    guard let bytes = pointer(to: page) else { return }
    bytes.storeBytes(of: state[1], as: UInt64.self)
    state[1] = page.page.rawValue
  }

  func pointer(to address: PhysicalAddress<L0>) -> UnsafeMutableRawPointer? {
    let page = address.page.rawValue
    guard page > address_of_page_pool(), page < address_of_page_pool_end() else { return nil }
    return UnsafeMutableRawPointer(physical: page)
  }

  /// A page that the carrier cannot do without.
  func take() -> L0Page {
    guard let page = allocate() else { fail("the carrier has no page left") }
    return page
  }
}
