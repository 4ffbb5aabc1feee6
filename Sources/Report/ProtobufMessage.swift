/// A message in the wire format of Protocol Buffers, as far as traces need it.
///
/// Source: Protocol Buffers documentation, "Encoding".
struct ProtobufMessage {
  private(set) var bytes: [UInt8] = []

  /// Appends a field of type uint64, uint32, int32, bool or enum.
  mutating func put(_ field: UInt64, _ value: UInt64) {
    putVarint(field << 3)
    putVarint(value)
  }

  /// Appends a field of type string.
  mutating func put(_ field: UInt64, _ text: some StringProtocol) {
    putVarint(field << 3 | 2)
    putVarint(UInt64(text.utf8.count))
    bytes += text.utf8
  }

  /// Appends a field that is a message.
  mutating func put(_ field: UInt64, _ message: ProtobufMessage) {
    putVarint(field << 3 | 2)
    putVarint(UInt64(message.bytes.count))
    bytes += message.bytes
  }

  private mutating func putVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
