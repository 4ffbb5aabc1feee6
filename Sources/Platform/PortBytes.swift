/// Accesses of 2 and 4 bytes to devices whose registers are bytes: one after the other, as the bus splits them.
enum PortBytes {
  /// The value whose bytes, from the lowest, are `byte` of 0, 1…
  static func gather(_ size: UInt8, _ byte: (UInt16) -> UInt8) -> UInt32 {
    var value: UInt32 = 0
    for position in 0..<UInt16(size & 7) {
      value |= UInt32(byte(position)) << (UInt32(position) &* 8)
    }
    return value
  }

  /// Hands the bytes of `value` with their positions to `put`.
  static func scatter(_ value: UInt32, _ size: UInt8, _ put: (UInt8, UInt16) -> Void) {
    for position in 0..<UInt16(size & 7) {
      put(UInt8(truncatingIfNeeded: value >> (UInt32(position) &* 8)), position)
    }
  }
}
