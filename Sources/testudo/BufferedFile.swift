import Glibc

/// A file that is written in large pieces, by one thread at a time. After a failure nothing more is written.
final class BufferedFile: @unchecked Sendable {
  private static let bufferLimit = 1 << 16

  private let file: Int32
  private let isOwned: Bool
  private var buffer: [UInt8] = []
  /// The host's error number of the first write that failed.
  private(set) var failure: Int32?

  /// Takes over the open file `file`, and closes it at the end if `isOwned`.
  init(_ file: Int32, isOwned: Bool = true) {
    self.file = file
    self.isOwned = isOwned
    buffer.reserveCapacity(Self.bufferLimit + 4096)
  }

  deinit { if isOwned { close(file) } }

  /// Empties the file, if it is one that can be emptied.
  func truncate() {
    if ftruncate(file, 0) != 0, errno != EINVAL { failure = errno }
  }

  func append(_ bytes: [UInt8]) { append { $0 += bytes } }

  /// Appends what `body` appends.
  func append(_ body: (inout [UInt8]) -> Void) {
    body(&buffer)
    if buffer.count >= Self.bufferLimit { flush() }
  }

  /// Writes `bytes` at once, after what was appended.
  func write(_ bytes: UnsafeRawBufferPointer) {
    flush()
    if failure == nil, !Output.write(bytes, to: file) { failure = errno }
  }

  func flush() {
    if failure == nil, !buffer.isEmpty, !Output.write(buffer, to: file) { failure = errno }
    buffer.removeAll(keepingCapacity: true)
  }
}
