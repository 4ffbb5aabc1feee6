import GuestMemory
import NestedVMX
import Platform
import X86

/// L1-physical memory as ept01 maps it, reached from L0. A trivial value: the machine keeps the memory alive.
struct L1RAM: L1Memory, @unchecked Sendable {
  /// The number of physical-address bits of L1, as CPUID reports it.
  static let physicalAddressWidth = UInt8(truncatingIfNeeded: CPUIDPolicy.physicalAddressBits)

  unowned(unsafe) let memory: PhysicalMemory
  private let base: UnsafeMutableRawPointer
  private let size: UInt64
  let low: MachineLayout.Range
  let high: MachineLayout.Range

  init(memory: PhysicalMemory, layout: MachineLayout) {
    self.memory = memory
    base = memory.base
    size = memory.size
    low = layout.low
    high = layout.high
  }

  /// The L0-physical address of `count` bytes of L1's RAM, or nil if any of them is none.
  @inline(__always)
  func translate(_ address: PhysicalAddress<L1>, count: UInt64) -> PhysicalAddress<L0>? {
    let range = address.rawValue < MachineLayout.highStart ? low : high
    let offset = address.rawValue &- range.l1.rawValue
    guard offset < range.size, count <= range.size &- offset else { return nil }
    return range.l0 + offset
  }

  /// Copies `bytes` into L1's RAM; false, and nothing copied, unless all of it is RAM.
  func write(_ bytes: UnsafeRawBufferPointer, at address: PhysicalAddress<L1>) -> Bool {
    guard let target = translate(address, count: UInt64(bytes.count)) else { return false }
    return memory.write(bytes, at: target)
  }
}

extension L1RAM {
  func hostPage(of address: PhysicalAddress<L1>) -> HostPage? {
    translate(address.page, count: 4096).map { HostPage(address: $0) }
  }

  func pointer(to address: PhysicalAddress<L1>, count: UInt64) -> UnsafeMutableRawPointer? {
    // Not through `memory`, for that is an object, whose references would be counted.
    guard let target = translate(address, count: count), target.rawValue &+ count <= size else { return nil }
    return base + Int(truncatingIfNeeded: target.rawValue)
  }

  func noteWrite(_ address: PhysicalAddress<L1>, count: UInt64) {
    guard let target = translate(address, count: count) else { return }
    memory.noteWrite(target, count: count)
  }
}
