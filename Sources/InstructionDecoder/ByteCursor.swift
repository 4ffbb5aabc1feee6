/// Reads the bytes of one instruction, at most 15.
struct ByteCursor {
  private let bytes: UnsafePointer<UInt8>
  private let limit: Int
  private(set) var offset = 0

  /// The limit of the length of an instruction in bytes.
  private static let longest = 15

  init(_ bytes: UnsafePointer<UInt8>, count: Int) {
    self.bytes = bytes
    self.limit = min(count, Self.longest)
  }

  /// Why there is no further byte.
  private var exhausted: DecodeFailure { limit == Self.longest ? .tooLong : .truncated }

  /// The next byte, not consumed.
  @inline(__always)
  func peek() throws(DecodeFailure) -> UInt8 {
    guard offset < limit else { throw exhausted }
    return bytes[offset]
  }

  /// Consumes the byte that was peeked at.
  @inline(__always)
  mutating func skip() { offset &+= 1 }

  @inline(__always)
  mutating func next() throws(DecodeFailure) -> UInt8 {
    let byte = try peek()
    offset &+= 1
    return byte
  }

  /// The next `size` bytes (1, 2, 4 or 8) as a little-endian integer, sign-extended.
  @inline(__always)
  mutating func signed(_ size: UInt8) throws(DecodeFailure) -> Int64 {
    let end = offset &+ Int(size)
    guard end <= limit else { throw exhausted }
    let source = UnsafeRawPointer(bytes + offset)
    offset = end
    switch size {
    case 1: return Int64(source.load(as: Int8.self))
    case 2: return Int64(source.loadUnaligned(as: Int16.self))
    case 4: return Int64(source.loadUnaligned(as: Int32.self))
    default: return source.loadUnaligned(as: Int64.self)
    }
  }

  /// The same, zero-extended.
  @inline(__always)
  mutating func unsigned(_ size: UInt8) throws(DecodeFailure) -> UInt64 {
    let value = UInt64(bitPattern: try signed(size))
    return size == 8 ? value : value & ((1 &<< (UInt64(size) &* 8)) &- 1)
  }
}
