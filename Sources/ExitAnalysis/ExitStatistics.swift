import Trace

/// The exits of a trace by level, reason and route, with how long they took, one event at a time in fixed memory.
public struct ExitStatistics: Sendable {
  /// One kind of exit.
  public struct Key: Hashable, Comparable, Sendable {
    public var from: ExitLevel
    public var reason: UInt16
    public var routedTo: ExitLevel

    public static func < (left: Self, right: Self) -> Bool {
      (right.from, left.reason, left.routedTo) < (left.from, right.reason, right.routedTo)
    }
  }

  /// What the exits of one kind come to.
  public struct Row: Sendable {
    public var key: Key
    /// From the exit until the same guest ran again.
    public var span = DurationSummary()
    /// What L0 spent on the exit alone.
    public var host = DurationSummary()
    /// The exits that the end of the run cut short; they are in no duration.
    public var unfinished: UInt64 = 0

    /// All exits of this kind.
    public var count: UInt64 { span.count &+ unfinished }

    fileprivate mutating func add(_ event: ExitEvent) {
      guard event.isFinished else {
        unfinished &+= 1
        return
      }
      span.add(event.span)
      host.add(event.hostCycles)
    }
  }

  private var table: [Key: Row] = [:]
  /// The events seen.
  public private(set) var count: UInt64 = 0

  public init() {}

  public mutating func add(_ event: ExitEvent) {
    count &+= 1
    let key = Key(from: event.from, reason: event.reason, routedTo: event.routedTo)
    table[key, default: Row(key: key)].add(event)
  }

  /// The rows of `level`, the most frequent first.
  public func rows(of level: ExitLevel) -> [Row] {
    table.values.filter { $0.key.from == level }.sorted { ($1.count, $0.key) < ($0.count, $1.key) }
  }
}
