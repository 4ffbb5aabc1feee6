import CKVM
import Glibc
import SoftwareProcessor

/// One guest-physical address space: a virtual machine of KVM, whose memory is host address space in which pages of RAM
/// are mapped one by one as the guest comes to them. So it is a cache of what one EPT says, like a TLB.
///
/// Each GByte in which something is mapped has one memory slot, over reserved addresses.
final class GuestSpace {
  /// The guest-physical page numbers at which a copy of code is mapped.
  private var copied: Set<UInt64> = []
  /// What it is a cache of: the address of the EPT PML4 table, or 0 without EPT.
  let root: UInt64
  let machine: KVMVirtualMachine
  private var regions: [UInt64: Region] = [:]
  private var nextSlot: UInt32 = 0
  /// For each page of RAM, the guest-physical page number that it is mapped at, plus 1; 0 for none.
  private let places: UnsafeMutablePointer<UInt64>
  private let pageCount: Int
  /// Further places of pages that have several.
  private var aliases: [Int: Set<UInt64>] = [:]
  /// The special registers that the virtual CPU holds, if ``hasLoaded``.
  let loaded = UnsafeMutablePointer<kvm_sregs>.allocate(capacity: 1)
  var hasLoaded = false
  /// The guest's state that they were made of.
  let systemState = UnsafeMutableRawPointer.allocate(byteCount: SoftwareCPU.systemStateSize, alignment: 8)
  /// What the software processor's translation generation was when the virtual CPU's TLB was emptied last.
  var flushedGeneration: UInt64 = 0
  var isPGESet = false
  /// When it was used last.
  var age: UInt64 = 0
  /// The page that its IDT is to be missed in, where empty IDTs are of no use.
  var idtHole: (linear: UInt64, guest: UInt64)?
  /// The APIC-access page that is kept out of it.
  var hiddenPage: UInt64?

  /// How a page is mapped.
  enum Protection {
    case none, read, readWrite
    fileprivate var flags: Int32 {
      switch self {
      case .none: PROT_NONE
      case .read: PROT_READ
      case .readWrite: PROT_READ | PROT_WRITE
      }
    }
  }

  private struct Region {
    var slot: UInt32
    var base: UnsafeMutableRawPointer
    /// For each guest-physical page the page of RAM that it is, or is a copy of, plus 1; 0 for none.
    var pages: UnsafeMutablePointer<UInt32>

    static let pagesSize = Int(regionSize >> 12) * MemoryLayout<UInt32>.stride

    func release() {
      munmap(base, Int(regionSize))
      munmap(pages, Self.pagesSize)
    }
  }

  private static let regionShift: UInt64 = 30
  private static let regionSize: UInt64 = 1 << regionShift
  /// A guest that touches more of its address space loses what it has mapped.
  private static let greatestRegionCount = 64

  init(root: UInt64, system: KVMSystem, pageCount: Int) throws(KVMError) {
    self.root = root
    self.pageCount = pageCount
    machine = try KVMVirtualMachine(system)
    systemState.initializeMemory(as: UInt8.self, repeating: 0, count: SoftwareCPU.systemStateSize)
    places = try Self.reserved(pageCount * 8, PROT_READ | PROT_WRITE)
      .bindMemory(to: UInt64.self, capacity: pageCount)
  }

  deinit {
    for region in regions.values { region.release() }
    munmap(places, pageCount * 8)
    loaded.deallocate()
    systemState.deallocate()
  }

  /// Host addresses that take memory as they are touched, zeros at first.
  private static func reserved(_ size: Int, _ protection: Int32) throws(KVMError) -> UnsafeMutableRawPointer {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let place = mmap(nil, size, protection, flags, -1, 0), place != MAP_FAILED else {
      throw .last(.mapMemory)
    }
    return place
  }

  /// Whether something is mapped at guest-physical page number `guest`.
  func isMapped(_ guest: UInt64) -> Bool { page(at: guest) != nil }

  /// The page of RAM that guest-physical page number `guest` is, or is a copy of.
  private func page(at guest: UInt64) -> Int? {
    guard let region = regions[guest >> (Self.regionShift - 12)] else { return nil }
    let page = region.pages[Int(guest & 0x3FFFF)]
    return page == 0 ? nil : Int(page) - 1
  }

  /// Whether a copy of code is mapped at guest-physical page number `guest`.
  func isCopied(_ guest: UInt64) -> Bool { copied.contains(guest) }

  /// Takes every copy of code but the one at `guest` out of the guest's reach, so that whoever reads there next is shown
  /// the page itself.
  func hideCopies(but guest: UInt64) throws(KVMError) {
    for other in copied where other != guest { try unmap(other, count: 1) }
  }

  /// Makes the addresses around guest-physical page `guest` ones at which pages can be missing.
  func reserve(_ guest: UInt64) throws(KVMError) {
    _ = try region(of: guest)
  }

  private func region(of guest: UInt64) throws(KVMError) -> UInt64 {
    let number = guest >> (Self.regionShift - 12)
    if regions[number] != nil { return number }
    if regions.count >= Self.greatestRegionCount { try forgetAll() }
    let base = try Self.reserved(Int(Self.regionSize), PROT_NONE)
    do throws(KVMError) {
      let pages = try Self.reserved(Region.pagesSize, PROT_READ | PROT_WRITE)
      regions[number] = Region(
        slot: nextSlot, base: base,
        pages: pages.bindMemory(to: UInt32.self, capacity: Int(Self.regionSize >> 12)))
    } catch {
      munmap(base, Int(Self.regionSize))
      throw error
    }
    do throws(KVMError) {
      try machine.setMemory(
        slot: nextSlot, guest: number << Self.regionShift, size: Self.regionSize, host: base)
    } catch {
      regions.removeValue(forKey: number)?.release()
      throw error
    }
    nextSlot += 1
    return number
  }

  /// Maps `count` pages of the file `descriptor` from page number `offset` at guest-physical page `guest`; all lie in one
  /// region. `page` is the first page of RAM that they are, or are a copy of.
  func map(
    _ guest: UInt64, count: UInt64, page: Int, _ descriptor: Int32, offset: UInt64, _ protection: Protection,
    isCopy: Bool = false
  ) throws(KVMError) {
    let number = try region(of: guest)
    let index = guest & 0x3FFFF
    guard let region = regions[number] else { return }
    let place = region.base + Int(index << 12)
    let flags = MAP_SHARED | MAP_FIXED | MAP_NORESERVE
    guard mmap(place, Int(count << 12), protection.flags, flags, descriptor, off_t(offset << 12)) == place
    else {
      throw .last(.mapMemory)
    }
    if !copied.isEmpty { copied.subtract(guest..<(guest + count)) }
    if isCopy { copied.insert(guest) }
    for position in 0..<count {
      note(guest + position, at: page + Int(position))
      region.pages[Int(index + position)] = UInt32(truncatingIfNeeded: page + Int(position) + 1)
    }
  }

  private func note(_ guest: UInt64, at page: Int) {
    guard page < pageCount, places[page] != guest + 1 else { return }
    if places[page] == 0 { places[page] = guest + 1 } else { aliases[page, default: []].insert(guest) }
  }

  /// Where page `page` of RAM is mapped, itself or as a copy. What was noted may have been mapped otherwise since.
  func places(of page: Int) -> [UInt64] {
    guard page < pageCount, places[page] != 0 else { return [] }
    let noted = [places[page] - 1] + (aliases[page].map(Array.init) ?? [])
    return noted.filter { self.page(at: $0) == page }
  }

  /// Takes page `page` of RAM out of the guest's reach, wherever it is mapped.
  func forget(page: Int) throws(KVMError) {
    for guest in places(of: page) { try unmap(guest, count: 1) }
    if page < pageCount { places[page] = 0 }
    aliases[page] = nil
  }

  /// Takes guest-physical page number `guest` out of the guest's reach.
  func forget(guest: UInt64) throws(KVMError) {
    if isMapped(guest) { try unmap(guest, count: 1) }
  }

  private func unmap(_ guest: UInt64, count: UInt64) throws(KVMError) {
    let number = guest >> (Self.regionShift - 12)
    guard let region = regions[number] else { return }
    let index = guest & 0x3FFFF
    try Self.empty(region.base + Int(index << 12), Int(count << 12))
    if !copied.isEmpty { copied.subtract(guest..<(guest + count)) }
    for position in index..<(index + count) { region.pages[Int(position)] = 0 }
  }

  private static func empty(_ place: UnsafeMutableRawPointer, _ size: Int) throws(KVMError) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
    guard mmap(place, size, PROT_NONE, flags, -1, 0) == place else { throw .last(.mapMemory) }
  }

  /// Forgets every mapping.
  func forgetAll() throws(KVMError) {
    for (number, region) in regions {
      try Self.empty(region.base, Int(Self.regionSize))
      guard regions.count >= Self.greatestRegionCount else {
        madvise(region.pages, Region.pagesSize, MADV_DONTNEED)
        continue
      }
      try machine.setMemory(slot: region.slot, guest: number << Self.regionShift, size: 0, host: nil)
      regions.removeValue(forKey: number)?.release()
    }
    if regions.isEmpty { nextSlot = 0 }
    madvise(places, pageCount * 8, MADV_DONTNEED)
    aliases = [:]
    copied = []
    idtHole = nil
    hiddenPage = nil
  }
}
