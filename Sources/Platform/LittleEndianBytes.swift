/// Bytes that grow at their end, integers lowest byte first: how every table of firmware is written.
struct LittleEndianBytes {
  private(set) var bytes: [UInt8] = []

  var count: Int { bytes.count }

  mutating func append<T: FixedWidthInteger>(_ value: T) {
    for position in 0..<T.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> T(position * 8))) }
  }

  mutating func append(_ values: [UInt8]) { bytes += values }

  /// `text` as ASCII, padded with `padding` to `count` bytes or cut there.
  mutating func append(_ text: String, count: Int, padding: UInt8 = UInt8(ascii: " ")) {
    let characters = text.utf8.prefix(count)
    bytes += characters + Array(repeating: padding, count: count - characters.count)
  }

  mutating func appendZeros(_ count: Int) { bytes += Array(repeating: 0, count: max(0, count)) }

  /// Sets the byte at `index` so that the sum of those in `range` is 0 in its low 8 bits.
  mutating func setChecksum(at index: Int, over range: Range<Int>) {
    bytes[index] = 0
    bytes[index] = 0 &- bytes[range].reduce(0, &+)
  }

  /// Stores `value` at `index`, where bytes already are.
  mutating func set<T: FixedWidthInteger>(_ value: T, at index: Int) {
    for position in 0..<T.bitWidth / 8 {
      bytes[index + position] = UInt8(truncatingIfNeeded: value >> T(position * 8))
    }
  }
}
