import Trace

/// Writes exits in the trace-event format that Chrome's tracing page and Perfetto open, as they happen.
///
/// There is one track (thread) per level; an exit is a complete event on the track of the level that caused it, from
/// the moment that level stopped to the moment it ran again. So an exit of L2 that L1 handles spans, on the track
/// above, every exit that L1 causes meanwhile. L0 causes no exit, and its track stays empty. Times are microseconds of
/// virtual time, to the picosecond; cycles are among the arguments.
public struct ChromeTrace: Sendable {
  /// Cycles per second of virtual time.
  let frequency: UInt64

  /// `frequency` is the number of virtual cycles per second, as in the cost table.
  public init(frequency: UInt64) { self.frequency = max(1, frequency) }

  /// The start of the file: what it describes, and the names of the process and of its tracks.
  public func opening(process: String) -> String {
    let about: JSONValue = ["schema": "testudo.trace/1", "cyclesPerSecond": .unsigned(frequency)]
    var events: [JSONValue] = [Self.metadata("process_name", arguments: ["name": .string(process)])]
    for level in ExitLevel.allCases.reversed() {
      let rank = Int64(ExitLevel.allCases.count) - Int64(level.rawValue)
      events.append(Self.metadata("thread_name", level, arguments: ["name": .string(Self.track(level))]))
      events.append(Self.metadata("thread_sort_index", level, arguments: ["sort_index": .integer(rank)]))
    }
    let lines = events.map { $0.text() }.joined(separator: ",\n")
    return "{\"displayTimeUnit\":\"ns\",\"otherData\":\(about.text()),\"traceEvents\":[\n" + lines
  }

  /// One exit; to follow ``opening(process:)`` and other events.
  public func event(_ event: ExitEvent) -> String {
    let tree = event.tree == ExitEvent.noTree ? "null" : "\(event.tree)"
    return
      ",\n{\"name\":\"\(event.reasonName)\",\"cat\":\"exit\",\"ph\":\"X\",\"pid\":1,\"tid\":\(event.from.rawValue)"
      + ",\"ts\":\(microseconds(event.start)),\"dur\":\(microseconds(event.span))"
      + ",\"args\":{\"reason\":\(event.reason),\"routedTo\":\"\(event.routedTo.name)\""
      + ",\"rip\":\"0x\(String(event.rip, radix: 16))\""
      + ",\"qualification\":\"0x\(String(event.qualification, radix: 16))\""
      + ",\"startCycle\":\(event.start),\"cycles\":\(event.span),\"hostCycles\":\(event.hostCycles)"
      + ",\"instructions\":\(event.instructions),\"tree\":\(tree),\"finished\":\(event.isFinished)}}"
  }

  /// The end of the file.
  public func end() -> String { "\n]}\n" }

  private static func metadata(
    _ name: String, _ level: ExitLevel? = nil, arguments: JSONValue
  ) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("name", .string(name)), .init("ph", "M"), .init("pid", .integer(1)),
    ]
    if let level { members.append(.init("tid", .unsigned(UInt64(level.rawValue)))) }
    members.append(.init("args", arguments))
    return .object(members)
  }

  private static func track(_ level: ExitLevel) -> String {
    switch level {
    case .l0: "L0 (causes no exit)"
    case .l1: "L1 exits"
    case .l2: "L2 exits"
    }
  }

  /// `cycles` as microseconds with six decimal places, exact to the last of them.
  func microseconds(_ cycles: UInt64) -> String {
    let (seconds, rest) = cycles.quotientAndRemainder(dividingBy: frequency)
    let picoseconds = frequency.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000_000)).quotient
    let (micros, fraction) = picoseconds.quotientAndRemainder(dividingBy: 1_000_000)
    let digits = String(fraction)
    let total = seconds.multipliedReportingOverflow(by: 1_000_000).partialValue &+ micros
    return "\(total)." + String(repeating: "0", count: 6 - digits.count) + digits
  }
}
