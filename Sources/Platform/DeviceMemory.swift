/// L1's RAM, as devices reach it by themselves.
public protocol DeviceMemory {
  /// Copies bytes from `address` to fill `target`; false, and nothing copied, unless all of them are RAM.
  func read(_ address: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool
  /// Copies `source` to `address`; false, and nothing copied, unless all of it is RAM.
  func write(_ source: UnsafeRawBufferPointer, at address: UInt64) -> Bool
}

/// No RAM at all: devices that reach memory by themselves find nothing.
struct NoDeviceMemory: DeviceMemory {
  func read(_ address: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool { false }
  func write(_ source: UnsafeRawBufferPointer, at address: UInt64) -> Bool { false }
}

extension DeviceMemory {
  /// The little-endian integer at `address`, or nil unless all of it is RAM.
  func load<T: FixedWidthInteger & BitwiseCopyable>(_ address: UInt64, as type: T.Type) -> T? {
    var value: T = 0
    let isRead = withUnsafeMutableBytes(of: &value) { read(address, into: $0) }
    return isRead ? T(littleEndian: value) : nil
  }

  /// Stores a little-endian integer; false, and nothing stored, unless all of it is RAM.
  func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at address: UInt64) -> Bool {
    withUnsafeBytes(of: value.littleEndian) { write($0, at: address) }
  }
}
