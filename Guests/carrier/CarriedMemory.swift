import CInstructions
import NestedVMX
import X86

/// The guest's physical memory: one range of the carrier's, and the machine's devices where they are.
struct CarriedMemory: L1Memory {
  /// The carrier's address of the guest's address 0.
  let base: UInt64
  /// In bytes, whole pages of 2 MByte.
  let size: UInt64
  private let machine: LoaderInformation

  private static var largePage: UInt64 { 2 << 20 }

  /// The largest range of RAM above the carrier in which the loader has left nothing.
  init(_ machine: LoaderInformation) {
    self.machine = machine
    var best = (start: UInt64(0), size: UInt64(0))
    func consider(_ start: UInt64) {
      let range = Self.freeRange(from: max(start, address_of_image_end()), on: machine)
      if range.size > best.size { best = range }
    }
    machine.forEachRangeOfRAM { start, _ in consider(start) }
    machine.forEachRangeInUse { _, end in consider(end) }
    consider(0)
    guard best.size >= 2 &* Self.largePage else { fail("the machine has too little memory for a guest") }
    (base, size) = best
  }

  /// The whole pages of 2 MByte behind `start` up to the next thing that is no free RAM.
  private static func freeRange(
    from start: UInt64, on machine: LoaderInformation
  ) -> (start: UInt64, size: UInt64) {
    let base = (start &+ largePage &- 1) & ~(largePage &- 1)
    var end = base
    machine.forEachRangeOfRAM { first, last in
      // Boot.S maps no more than 4 GByte.
      if first <= base, base < last { end = min(last, 4 << 30) }
    }
    machine.forEachRangeInUse { first, last in
      if last > base, first < end { end = max(first, base) }
    }
    end &= ~(largePage &- 1)
    return (base, end > base ? end &- base : 0)
  }

  func contains(_ address: UInt64, _ count: UInt64) -> Bool { address <= size && count <= size &- address }

  /// Whether the guest's page of 2 MByte at `address` is one of the machine's: below 4 GByte, and no memory of either.
  func isDevice(_ address: UInt64) -> Bool {
    let page = address & ~(Self.largePage &- 1)
    return page >= size && page < 4 << 30 && !machine.hasRAM(in: page..<page &+ Self.largePage)
  }

  func copy(from source: UInt64, _ count: UInt64, to target: UInt64) {
    UnsafeMutableRawPointer(physical: base &+ target).copyMemory(
      from: UnsafeMutableRawPointer(physical: source), byteCount: Int(count))
  }

  func clear(_ range: Range<UInt64>) {
    UnsafeMutableRawPointer(physical: base &+ range.lowerBound).initializeMemory(
      as: UInt8.self, repeating: 0, count: Int(range.upperBound &- range.lowerBound))
  }

  func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at address: UInt64) {
    UnsafeMutableRawPointer(physical: base &+ address).storeBytes(of: value, as: Value.self)
  }
}

extension CarriedMemory {
  func hostPage(of address: PhysicalAddress<L1>) -> HostPage? {
    let page = address.page.rawValue
    if page < size { return HostPage(address: PhysicalAddress(base &+ page)) }
    guard isDevice(page) else { return nil }
    return HostPage(address: PhysicalAddress(page), memoryType: MemoryType.uncacheable.rawValue)
  }

  func pointer(to address: PhysicalAddress<L1>, count: UInt64) -> UnsafeMutableRawPointer? {
    guard contains(address.rawValue, count) else { return nil }
    return UnsafeMutableRawPointer(physical: base &+ address.rawValue)
  }

  func noteWrite(_ address: PhysicalAddress<L1>, count: UInt64) {}
}
