import CostModel
import Experiments
import Glibc
import Report
import Trace

/// A trace that a user names by its path, read from its first block to its last.
struct TraceInput: ~Copyable {
  let path: String
  private let file: Int32
  private var reader: TraceReader
  private let size: UInt64
  private let progress: ProgressLine?

  /// Opens the trace at `path`. While it is read, a progress line shows how far; `isForPrograms` if the result is not
  /// for people.
  init(_ path: String, isForPrograms: Bool = false) throws(CommandError) {
    self.path = path
    progress = ProgressLine(isForPrograms: isForPrograms)
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
    size = Self.size(of: file)
  }

  deinit { close(file) }

  var description: TraceDescription { reader.description }

  /// The built-in cost table that the trace says it was made with, or nil.
  var costTable: CostTable? {
    guard let name = description[TraceDescription.Key.costTable], CostTableCatalog.names.contains(name)
    else { return nil }
    return try? CostTableCatalog.table(name)
  }

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
    var count: UInt64 = 0
    defer { progress?.end() }
    while let block = reader.next() {
      try body(block)
      guard let progress else { continue }
      if case .events(let events) = block { count &+= UInt64(events.count) }
      progress.update(text(count, progress.seconds))
    }
    progress?.erase()
    let ending = reader.ending ?? .withoutSummary
    if let warning = ending.warning { Output.complain("\(path): \(warning)") }
    return ending
  }

  private func text(_ count: UInt64, _ seconds: Double) -> String {
    let share = size == 0 ? "" : "\(percent(reader.offset, size)) of the trace, "
    return share + "\(grouped(count)) exits, \(decimal(seconds, places: 0)) s"
  }

  /// The size of a file in bytes; 0 if it has none, as a pipe.
  private static func size(of file: Int32) -> UInt64 {
    var status = stat()
    guard fstat(file, &status) == 0 else { return 0 }
    return UInt64(max(0, status.st_size))
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
