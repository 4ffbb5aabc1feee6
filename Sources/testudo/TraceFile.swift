import Glibc
import Report
import Trace

/// The file of `--trace`: exits are written as they happen, so that a long run needs no memory for them.
///
/// It belongs to the thread of the run.
final class TraceFile: @unchecked Sendable {
  private static let bufferLimit = 1 << 16

  let path: String
  private let file: Int32
  private let format: ChromeTrace
  private let process: String
  private var buffer: [UInt8] = []
  /// The host's error number of the first write that failed.
  private var failure: Int32?

  /// Creates the file at `path`, or opens it without a change until ``begin()``.
  init(path: String, frequency: UInt64, process: String) throws(CommandError) {
    self.path = path
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw CommandError(
        .cannotCreateOutput,
        "\(path): cannot create the trace: \(Output.reason(errno)): expected a path in a writable directory")
    }
    format = ChromeTrace(frequency: frequency)
    self.process = process
  }

  /// Empties the file and begins the trace: to be called when nothing can keep the run from beginning.
  func begin() {
    if ftruncate(file, 0) != 0, errno != EINVAL { failure = errno }
    append(format.opening(process: process))
  }

  deinit { close(file) }

  func write(_ events: UnsafeBufferPointer<ExitEvent>) {
    for event in events { append(format.event(event)) }
  }

  /// Ends the file. Throws if any of it could not be written.
  func finish() throws(CommandError) {
    append(format.closing())
    flush()
    if let failure {
      throw CommandError(
        .outputIncomplete, "\(path): the trace is incomplete: \(Output.reason(failure)): free some space")
    }
  }

  private func append(_ text: String) {
    buffer += text.utf8
    if buffer.count >= Self.bufferLimit { flush() }
  }

  private func flush() {
    if failure == nil, !Output.write(buffer, to: file) { failure = errno }
    buffer.removeAll(keepingCapacity: true)
  }
}
