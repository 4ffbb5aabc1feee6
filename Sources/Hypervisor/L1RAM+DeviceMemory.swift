import Platform
import X86

extension L1RAM: DeviceMemory {
  func read(_ address: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard let source = pointer(to: PhysicalAddress(address), count: UInt64(target.count)) else {
      return false
    }
    target.copyMemory(from: UnsafeRawBufferPointer(start: source, count: target.count))
    return true
  }

  func write(_ source: UnsafeRawBufferPointer, at address: UInt64) -> Bool {
    write(source, at: PhysicalAddress<L1>(address))
  }
}
