import Trace
import VMX

/// A trace as comma-separated values, one exit a line, in the order in which the exits were dealt with.
public struct CSVTrace: TraceExport {
  /// The columns, with what each holds of an event.
  private static let columns: [(name: String, value: @Sendable (ExitEvent) -> String)] = [
    ("processor", { "\($0.processor)" }), ("from", { "\($0.from.name)" }), ("reason", { "\($0.reasonName)" }),
    ("routedTo", { "\($0.routedTo.name)" }), ("start", { "\($0.start)" }), ("end", { "\($0.end)" }),
    ("hostCycles", { "\($0.hostCycles)" }), ("instructions", { "\($0.instructions)" }),
    ("rip", { hexadecimal($0.rip) }), ("qualification", { hexadecimal($0.qualification) }),
    ("operand", { hexadecimal($0.operand) }),
    ("tree", { $0.tree == ExitEvent.noTree ? "" : "\($0.tree)" }), ("finished", { "\($0.isFinished)" }),
    ("vmcsReads", { "\($0.work.vmcsReads)" }), ("vmcsWrites", { "\($0.work.vmcsWrites)" }),
    ("memoryAccesses", { "\($0.work.memoryAccesses)" }), ("vmptrlds", { "\($0.work.vmptrlds)" }),
    ("invepts", { "\($0.work.invepts)" }), ("invvpids", { "\($0.work.invvpids)" }),
    ("guestReads", { "\($0.work.guestReads)" }), ("guestWrites", { "\($0.work.guestWrites)" }),
  ]

  public init() {}

  public mutating func opening(_ description: TraceDescription) -> [UInt8] {
    Array((Self.columns.map(\.name).joined(separator: ",") + "\n").utf8)
  }

  public mutating func append(_ event: ExitEvent, to output: inout [UInt8]) {
    for (number, column) in Self.columns.enumerated() {
      if number > 0 { output.append(UInt8(ascii: ",")) }
      output += column.value(event).utf8
    }
    output.append(UInt8(ascii: "\n"))
  }

  public mutating func closing() -> [UInt8] { [] }
}
