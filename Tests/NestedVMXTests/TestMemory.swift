import NestedVMX
import Translation
import X86

/// L1's memory for tests: RAM from 0 up to `size`, at `offset` in L0-physical memory, with pages that can be protected.
final class TestMemory: L1Memory {
  static let size: UInt64 = 1 << 20
  static let offset: UInt64 = 0x4000_0000

  let bytes: UnsafeMutableRawPointer
  var protected: [UInt64: Permissions] = [:]
  /// How often the nested core said that it wrote.
  var notedWrites = 0

  init() {
    bytes = .allocate(byteCount: Int(Self.size), alignment: 4096)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: Int(Self.size))
  }

  deinit { bytes.deallocate() }

  func hostPage(of address: PhysicalAddress<L1>) -> HostPage? {
    guard address.rawValue < Self.size else { return nil }
    return HostPage(
      address: PhysicalAddress(address.page.rawValue + Self.offset),
      permissions: protected[address.page.rawValue] ?? .all)
  }

  func pointer(to address: PhysicalAddress<L1>, count: UInt64) -> UnsafeMutableRawPointer? {
    guard address.rawValue < Self.size, count <= Self.size - address.rawValue else { return nil }
    return bytes + Int(address.rawValue)
  }

  func noteWrite(_ address: PhysicalAddress<L1>, count: UInt64) { notedWrites += 1 }

  subscript(address: UInt64) -> UInt64 {
    get { bytes.loadUnaligned(fromByteOffset: Int(address), as: UInt64.self) }
    set { bytes.storeBytes(of: newValue, toByteOffset: Int(address), as: UInt64.self) }
  }
}

/// A pool of L0 pages for tests, of any capacity.
final class TestPages: L0Pages {
  static let base: UInt64 = 0x1_0000
  let capacity: Int
  let bytes: UnsafeMutableRawPointer
  var free: [Int]

  init(capacity: Int) {
    self.capacity = capacity
    bytes = .allocate(byteCount: capacity * 4096, alignment: 4096)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: capacity * 4096)
    free = Array((0..<capacity).reversed())
  }

  deinit { bytes.deallocate() }

  var used: Int { capacity - free.count }

  func allocate() -> L0Page? {
    guard let page = free.popLast() else { return nil }
    let pointer = bytes + page * 4096
    pointer.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
    return L0Page(address: PhysicalAddress(Self.base + UInt64(page) * 4096), bytes: pointer)
  }

  func free(_ page: PhysicalAddress<L0>) {
    let number = Int((page.rawValue - Self.base) / 4096)
    precondition(!free.contains(number), "a page was freed twice")
    free.append(number)
  }

  func pointer(to address: PhysicalAddress<L0>) -> UnsafeMutableRawPointer? {
    guard address.rawValue >= Self.base, address.rawValue < Self.base + UInt64(capacity) * 4096 else {
      return nil
    }
    return bytes + Int(address.page.rawValue - Self.base)
  }
}
