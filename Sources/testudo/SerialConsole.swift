import Glibc

/// Passes on what the guest writes to its console, line by line, to a terminal at once, and keeps the beginning of it.
///
/// It belongs to the thread of the run until the run has ended.
final class SerialConsole: @unchecked Sendable {
  /// How many bytes are kept for the report.
  static let keptLimit = 65536
  private static let bufferLimit = 4096

  private let file: Int32
  /// Whether somebody looks on, who is to see an unfinished line too.
  private let isTerminal: Bool
  private var buffer: [UInt8] = []
  private(set) var kept: [UInt8] = []
  private var last = UInt8(ascii: "\n")
  /// The number of bytes that the guest wrote.
  private(set) var count: UInt64 = 0
  /// The host's error number of the first write that failed.
  private(set) var failure: Int32?
  private let progress: ProgressLine?

  /// A console that passes everything on to `file`, where `progress` may have its line.
  init(file: Int32, _ progress: ProgressLine? = nil) {
    self.file = file
    self.progress = progress
    isTerminal = isatty(file) == 1
  }

  func receive(_ byte: UInt8) {
    count &+= 1
    last = byte
    if kept.count < Self.keptLimit { kept.append(byte) }
    buffer.append(byte)
    if byte == UInt8(ascii: "\n") || isTerminal || buffer.count >= Self.bufferLimit { flush() }
  }

  /// Passes on an unfinished line.
  func flush() {
    guard !buffer.isEmpty else { return }
    progress?.erase(unfinished: last != UInt8(ascii: "\n"))
    if failure == nil, !Output.write(buffer, to: file) { failure = errno }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Ends an unfinished line, so that what follows stands on its own.
  func finish() {
    if last != UInt8(ascii: "\n") { buffer.append(UInt8(ascii: "\n")) }
    flush()
  }
}
