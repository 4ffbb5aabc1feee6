import Trace

/// Holds the exits of a tree back until its root comes, which a log has after them: so that those of each virtual CPU
/// can be told in the order of time.
public struct TreeBuffer: Sendable {
  /// A tree of more exits than this is told before its root.
  public static let limit = 1 << 20

  /// By virtual CPU.
  private var waiting: [[ExitEvent]] = [[]]

  public init() {}

  /// Takes the next event of a log, and hands on what is ready: `body` gets each event, and for a root the members of
  /// its tree after it.
  public mutating func add(_ event: ExitEvent, _ body: (_ event: ExitEvent, _ members: [ExitEvent]) -> Void) {
    let number = Int(event.processor)
    while waiting.count <= number { waiting.append([]) }
    if event.from == .l1, event.tree != ExitEvent.noTree, waiting[number].count < Self.limit {
      waiting[number].append(event)
    } else if event.isTreeRoot {
      body(event, waiting[number])
      waiting[number].removeAll(keepingCapacity: true)
    } else {
      tellWaiting(number, body)
      body(event, [])
    }
  }

  /// Hands on what still waits for a root that never came.
  public mutating func finish(_ body: (_ event: ExitEvent, _ members: [ExitEvent]) -> Void) {
    for number in waiting.indices { tellWaiting(number, body) }
  }

  private mutating func tellWaiting(_ number: Int, _ body: (ExitEvent, [ExitEvent]) -> Void) {
    for event in waiting[number] { body(event, []) }
    waiting[number].removeAll(keepingCapacity: true)
  }
}
