import Glibc
import Hypervisor
import Report
import Trace

/// The file of `--trace`: exits are written as they happen, so that a long run needs no memory for them. A path that
/// ends in `.json` gets a Chrome trace, any other the binary log.
///
/// It belongs to the thread of the run; a thread of its own writes the file.
final class TraceFile: @unchecked Sendable {
  let path: String
  /// Whether the file is of another tool's format.
  let isExport: Bool
  private let output: BufferedFile
  private let description: TraceDescription
  private let queue: TraceQueue
  /// What makes the binary log, or else the export.
  private let writer: UnsafeMutablePointer<TraceWriter>?
  private let export: ExportSink?

  /// Creates the file at `path`, or opens it without a change until ``begin()``.
  init(path: String, _ description: TraceDescription) throws(CommandError) {
    self.path = path
    self.description = description
    isExport = path.hasSuffix(".json")
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw CommandError(
        .cannotCreateOutput,
        "\(path): cannot create the trace: \(Output.reason(errno)): expected a path in a writable directory")
    }
    let output = BufferedFile(file)
    self.output = output
    let export = isExport ? ExportSink(output, description) : nil
    self.export = export
    queue = TraceQueue { piece in
      switch piece {
      case .events(let chunk, let count): export?.write(UnsafeBufferPointer(start: chunk, count: count))
      case .block(let block): output.write(block.sealed())
      case .bytes(let bytes): output.append(bytes)
      }
    }
    writer = isExport ? nil : Self.makeWriter(description, queue)
  }

  /// What it makes waits in the queue until that begins.
  private static func makeWriter(
    _ description: TraceDescription, _ queue: TraceQueue
  ) -> UnsafeMutablePointer<TraceWriter> {
    let writer = UnsafeMutablePointer<TraceWriter>.allocate(capacity: 1)
    writer.initialize(
      to: TraceWriter(description, output: { queue.put(.bytes(Array($0))) }, exchange: { queue.exchange($0) })
    )
    return writer
  }

  deinit {
    writer?.deinitialize(count: 1)
    writer?.deallocate()
  }

  /// Empties the file and begins the trace: to be called when nothing can keep the run from beginning.
  func begin() {
    output.truncate()
    export?.begin()
    queue.begin()
  }

  /// What a run's logs do with their events.
  var mode: TraceMode {
    if let writer { return .written(writer) }
    return .handedOver { [queue] in queue.exchange($0, $1) }
  }

  /// Other tools' formats have no place for VMCSs.
  func write(_ snapshots: TreeSnapshots) { writer?.pointee.append(snapshots) }

  /// Ends the file with what the run came to. Throws if any of it could not be written.
  func finish(_ result: RunResult) throws(CommandError) {
    writer?.pointee.finish(
      TraceSummary(
        droppedEvents: result.droppedEvents, instructions: result.instructions, cycles: result.virtualCycles,
        sentence: "\(result.outcome)", pageWalks: result.pageWalks))
    queue.finish()
    export?.finish()
    output.flush()
    if let failure = output.failure {
      throw CommandError(
        .outputIncomplete, "\(path): the trace is incomplete: \(Output.reason(failure)): free some space")
    }
  }
}

/// An export made while the run goes on. It is used by one thread at a time.
private final class ExportSink: @unchecked Sendable {
  private let output: BufferedFile
  private let description: TraceDescription
  private var export: any TraceExport

  init(_ output: BufferedFile, _ description: TraceDescription) {
    self.output = output
    self.description = description
    export = ChromeTrace(frequency: description.frequency)
  }

  func begin() { output.append(export.opening(description)) }

  func write(_ events: UnsafeBufferPointer<ExitEvent>) {
    for event in events { output.append { export.append(event, to: &$0) } }
  }

  func finish() { output.append(export.closing()) }
}
