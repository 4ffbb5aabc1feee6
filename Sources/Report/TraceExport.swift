import Trace

/// A format that a trace can be exported to, event by event in the order of the log.
public protocol TraceExport {
  /// The start of the file.
  mutating func opening(_ description: TraceDescription) -> [UInt8]
  /// Appends what `event` is in this format.
  mutating func append(_ event: ExitEvent, to output: inout [UInt8])
  /// The end of the file.
  mutating func closing() -> [UInt8]
}

/// The names of the formats, as a user selects them.
public enum TraceExportFormat: String, CaseIterable, Sendable {
  case chrome
  case perfetto
  case csv
  case kvm

  /// An exporter for a trace of such a description.
  public func exporter(for description: TraceDescription) -> any TraceExport {
    switch self {
    case .chrome: ChromeTrace(frequency: description.frequency)
    case .perfetto: PerfettoTrace(frequency: description.frequency)
    case .csv: CSVTrace()
    case .kvm: KVMTracepoints(frequency: description.frequency)
    }
  }
}

extension TraceDescription {
  /// What the trace is of, in a few words.
  public var title: String {
    var parts = ["testudo run \(self[Key.guest] ?? "")"]
    if let workload = self[Key.workload] { parts.append("workload \(workload)") }
    return parts.joined(separator: ", ")
  }
}

extension ChromeTrace: TraceExport {
  public mutating func opening(_ description: TraceDescription) -> [UInt8] {
    Array(opening(process: description.title).utf8)
  }

  public mutating func append(_ event: ExitEvent, to output: inout [UInt8]) {
    output += self.event(event).utf8
  }

  public mutating func closing() -> [UInt8] { Array(end().utf8) }
}
