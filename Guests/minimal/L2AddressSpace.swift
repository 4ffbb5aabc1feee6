import CInstructions
import CMinimal
import VMX
import X86

/// The L2-physical address space: ept12, and the window that is filled on demand.
///
/// L2 sees the image's code, read-only, and its own memory, both where L1 has them; and from 1 GiB a window of 512
/// pages, of which none is there at first. Each EPT violation in the window maps one page of a pool half as large.
/// When the pool is used up, all its pages are taken back, so that an L2 that walks through the window again and
/// again never finds a page that it has seen before.
struct L2AddressSpace {
  static var windowBase: UInt64 { 1 << 30 }
  static var windowPageCount: UInt64 { 512 }
  private static var poolPageCount: UInt64 { 256 }

  /// The EPTP.
  let pointer: EPTPointer
  private let windowTable: Table
  private let invalidation: INVEPTType
  private var usedPoolPages: UInt64 = 0

  private typealias Table = UnsafeMutablePointer<UInt64>

  init(_ pages: inout L1Pages, _ capabilities: EPTAndVPIDCapability) {
    guard capabilities.isSuperset(of: [.pageWalkLength4, .writeBackPagingStructures, .invept]) else {
      fail("no EPT with four levels, write-back paging structures and INVEPT")
    }
    invalidation = capabilities.contains(INVEPTType.singleContext.capability) ? .singleContext : .allContexts

    let pml4 = Table(physical: pages.take())
    let pdpt = Self.addTable(to: pml4, at: 0, &pages)
    let lowTable = Self.addTable(to: Self.addTable(to: pdpt, at: 0, &pages), at: 0, &pages)
    windowTable = Self.addTable(to: Self.addTable(to: pdpt, at: 1, &pages), at: 0, &pages)
    Self.mapIdentity(lowTable, address_of_image_start()..<address_of_image_code_end(), [.read, .execute])
    Self.mapIdentity(lowTable, address_of_l2_memory()..<address_of_l2_memory_end(), [.read, .write])
    pointer = EPTPointer(root: pml4.physical)
  }

  private static func addTable(to parent: Table, at index: Int, _ pages: inout L1Pages) -> Table {
    let table = Table(physical: pages.take())
    parent[index] = EPTEntry(table: table.physical).rawValue
    return table
  }

  /// Maps the pages of `range`, which lies in the first 2 MiB, to themselves.
  private static func mapIdentity(_ table: Table, _ range: Range<UInt64>, _ permissions: EPTPermissions) {
    for address in stride(from: range.lowerBound, to: range.upperBound, by: 4096) {
      table[Int(address >> 12)] = EPTEntry(page: address, permissions: permissions).rawValue
    }
  }

  /// Maps a fresh page where L2 found none, and gives the stamp that L2 will read in it.
  mutating func fill(at address: UInt64) -> UInt64 {
    let index = (address &- Self.windowBase) >> 12
    guard index < Self.windowPageCount else { fail("EPT violation outside the window") }
    if usedPoolPages == Self.poolPageCount { takePagesBack() }
    let page = address_of_window_pool() &+ usedPoolPages << 12
    usedPoolPages &+= 1
    let stamp = (address ^ page) &* 0x9E37_79B9_7F4A_7C15
    WindowPage.stamp(page, stamp)
    windowTable[Int(index)] = EPTEntry(page: page, permissions: [.read, .write]).rawValue
    return stamp
  }

  /// Unmaps every page of the window.
  private mutating func takePagesBack() {
    checkAnswers()
    windowTable.update(repeating: 0, count: Int(Self.windowPageCount))
    if invept(invalidation.rawValue, pointer.rawValue) { vmxFailed("INVEPT") }
    usedPoolPages = 0
  }

  /// Ends the run unless L2 has answered in each page that it was given.
  func checkAnswers() {
    for index in 0..<usedPoolPages where !WindowPage.isAnswered(address_of_window_pool() &+ index << 12) {
      fail("what L2 wrote to a page of its window is not in L1's memory")
    }
  }
}

/// What L1 and L2 leave for each other in a page of the window.
enum WindowPage {
  private typealias Words = UnsafeMutablePointer<UInt64>

  static func stamp(_ page: UInt64, _ stamp: UInt64) {
    Words(physical: page)[0] = stamp
    Words(physical: page)[1] = 0
  }

  /// L2's part: reads the stamp, and answers with its complement.
  static func answer(_ page: UInt64) -> UInt64 {
    let stamp = Words(physical: page)[0]
    Words(physical: page)[1] = ~stamp
    return stamp
  }

  static func isAnswered(_ page: UInt64) -> Bool {
    Words(physical: page)[1] == ~Words(physical: page)[0]
  }
}
