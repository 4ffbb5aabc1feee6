import Glibc
import Trace

/// A trace that a user names by its path, read from its first block to its last.
struct TraceInput: ~Copyable {
  let path: String
  private let file: Int32
  private var reader: TraceReader

  init(_ path: String) throws(CommandError) {
    self.path = path
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw CommandError(
        .missingInput, "\(path): \(Output.reason(errno)): expected a trace that 'testudo run --trace' wrote")
    }
    do throws(TraceError) {
      reader = try TraceReader { Self.fill($0, from: file) }
    } catch {
      close(file)
      throw CommandError(.malformedInput, "\(path): \(error)")
    }
    self.file = file
  }

  deinit { close(file) }

  var description: TraceDescription { reader.description }

  /// Hands every event to `body` in order, and returns how the trace ends.
  mutating func forEach(_ body: (ExitEvent) throws(CommandError) -> Void) throws(CommandError) -> TraceEnding
  {
    try forEachBlock { block throws(CommandError) in
      guard case .events(let events) = block else { return }
      for event in events { try body(event) }
    }
  }

  /// Hands every block to `body` in order, and returns how the trace ends.
  mutating func forEachBlock(_ body: (TraceBlock) throws(CommandError) -> Void) throws(CommandError)
    -> TraceEnding
  {
    while let block = reader.next() { try body(block) }
    let ending = reader.ending ?? .withoutSummary
    if let warning = ending.warning { Output.complain("\(path): \(warning)") }
    return ending
  }

  /// Reads until `buffer` is full or the file ends; an error of the host counts as its end.
  private static func fill(_ buffer: UnsafeMutableRawBufferPointer, from file: Int32) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = read(file, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      filled += count
    }
    return filled
  }
}
