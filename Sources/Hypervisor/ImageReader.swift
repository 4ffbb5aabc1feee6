/// Reads little-endian integers out of an image, checking every offset: the image is whatever a user named.
struct ImageReader {
  let image: GuestImage

  var count: UInt64 { UInt64(image.bytes.count) }

  /// Whether the image has `length` bytes at `offset`.
  func has(_ offset: UInt64, _ length: UInt64) -> Bool { offset <= count && length <= count - offset }

  /// The integer at `offset`; `what` names it in the error.
  func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ offset: UInt64, as type: T.Type, _ what: String
  ) throws(ImageError) -> T {
    let size = UInt64(MemoryLayout<T>.size)
    guard has(offset, size) else { throw truncated(what, offset: offset, length: size) }
    return image.bytes.withUnsafeBytes {
      T(littleEndian: $0.loadUnaligned(fromByteOffset: Int(offset), as: T.self))
    }
  }

  func error(_ problem: String) -> ImageError { ImageError(image: image.name, problem: problem) }

  func truncated(_ what: String, offset: UInt64, length: UInt64) -> ImageError {
    error(
      "truncated: \(what) needs \(length) bytes at offset \(hexadecimal(offset)), but the file has "
        + "\(count) bytes; copy or build it again")
  }
}
