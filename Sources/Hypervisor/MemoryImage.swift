import X86

/// Bytes that are to lie in a range of L1-physical memory, written field by field.
struct MemoryImage {
  let range: Range<UInt64>
  private(set) var bytes: [UInt8]

  /// An image of `range`, all zero.
  init(_ range: Range<UInt64>) {
    self.range = range
    bytes = Array(repeating: 0, count: range.count)
  }

  /// Puts `value` at `address`, little-endian; what would lie outside of the range is dropped.
  mutating func put<T: FixedWidthInteger>(_ value: T, at address: UInt64) {
    withUnsafeBytes(of: value.littleEndian) { field in
      for (index, byte) in field.enumerated() { put(byte, at: address + UInt64(index)) }
    }
  }

  /// Puts `bytes` at `address`.
  mutating func put(_ bytes: [UInt8], at address: UInt64) {
    for (index, byte) in bytes.enumerated() { put(byte, at: address + UInt64(index)) }
  }

  private mutating func put(_ byte: UInt8, at address: UInt64) {
    guard range.contains(address) else { return }
    bytes[Int(address - range.lowerBound)] = byte
  }

  /// Copies everything into L1's memory; false if it does not fit.
  func write(to ram: L1RAM) -> Bool {
    bytes.withUnsafeBytes { ram.write($0, at: PhysicalAddress(range.lowerBound)) }
  }
}
