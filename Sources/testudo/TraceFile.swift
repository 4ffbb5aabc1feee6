import Glibc
import Hypervisor
import Report
import Trace

/// The file of `--trace`: exits are written as they happen, so that a long run needs no memory for them. A path that ends
/// in `.json` gets a Chrome trace, any other the binary log.
///
/// It belongs to the thread of the run; a thread of its own encodes and writes.
final class TraceFile: @unchecked Sendable {
  let path: String
  /// Whether the file is of another tool's format.
  var isExport: Bool { path.hasSuffix(".json") }
  private let output: BufferedFile
  private let description: TraceDescription
  private let sink: any TraceSink
  private let queue: TraceQueue

  /// Creates the file at `path`, or opens it without a change until ``begin()``.
  init(path: String, _ description: TraceDescription) throws(CommandError) {
    self.path = path
    self.description = description
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw CommandError(
        .cannotCreateOutput,
        "\(path): cannot create the trace: \(Output.reason(errno)): expected a path in a writable directory")
    }
    output = BufferedFile(file)
    let sink: any TraceSink =
      path.hasSuffix(".json") ? ExportSink(output, description) : BinarySink(output, description)
    self.sink = sink
    queue = TraceQueue { piece in
      switch piece {
      case .events(let chunk, let count): sink.write(UnsafeBufferPointer(start: chunk, count: count))
      case .snapshots(let snapshots): sink.write(snapshots)
      }
    }
  }

  /// Empties the file and begins the trace: to be called when nothing can keep the run from beginning.
  func begin() {
    output.truncate()
    sink.begin()
    queue.begin()
  }

  /// What a run's log does with its events.
  var mode: TraceMode { .handedOver { [queue] in queue.exchange($0, $1) } }

  func write(_ snapshots: TreeSnapshots) { queue.put(.snapshots(snapshots)) }

  /// Ends the file with what the run came to. Throws if any of it could not be written.
  func finish(_ result: RunResult) throws(CommandError) {
    queue.finish()
    sink.finish(
      TraceSummary(
        droppedEvents: result.droppedEvents, instructions: result.instructions, cycles: result.virtualCycles,
        sentence: "\(result.outcome)", pageWalks: result.pageWalks))
    output.flush()
    if let failure = output.failure {
      throw CommandError(
        .outputIncomplete, "\(path): the trace is incomplete: \(Output.reason(failure)): free some space")
    }
  }
}

/// What makes bytes of exits.
/// It is used by one thread at a time.
private protocol TraceSink: AnyObject, Sendable {
  func begin()
  func write(_ events: UnsafeBufferPointer<ExitEvent>)
  func write(_ snapshots: TreeSnapshots)
  func finish(_ summary: TraceSummary)
}

/// The binary log. Each block reaches the file as it is full.
private final class BinarySink: TraceSink, @unchecked Sendable {
  private let output: BufferedFile
  private let description: TraceDescription
  private var writer: TraceWriter?

  init(_ output: BufferedFile, _ description: TraceDescription) {
    self.output = output
    self.description = description
  }

  func begin() {
    let output = output
    writer = TraceWriter(description) { output.write($0) }
  }

  func write(_ events: UnsafeBufferPointer<ExitEvent>) { writer?.append(events) }

  func write(_ snapshots: TreeSnapshots) { writer?.append(snapshots) }

  func finish(_ summary: TraceSummary) { writer?.finish(summary) }
}

/// An export made while the run goes on.
private final class ExportSink: TraceSink, @unchecked Sendable {
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

  /// Other tools' formats have no place for VMCSs.
  func write(_ snapshots: TreeSnapshots) {}

  func finish(_ summary: TraceSummary) { output.append(export.closing()) }
}
