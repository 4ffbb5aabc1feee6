import Trace

/// Holds the exits of a tree back until its root comes, which a log has after them: so that they can be told in the
/// order of time.
public struct TreeBuffer: Sendable {
  /// A tree of more exits than this is told before its root.
  public static let limit = 1 << 20

  private var waiting: [ExitEvent] = []

  public init() {}

  /// Takes the next event of a log, and hands on what is ready: `body` gets each event, and for a root the members of
  /// its tree after it.
  public mutating func add(_ event: ExitEvent, _ body: (_ event: ExitEvent, _ members: [ExitEvent]) -> Void) {
    if event.from == .l1, event.tree != ExitEvent.noTree, waiting.count < Self.limit {
      waiting.append(event)
    } else if event.isTreeRoot {
      body(event, waiting)
      waiting.removeAll(keepingCapacity: true)
    } else {
      finish(body)
      body(event, [])
    }
  }

  /// Hands on what still waits for a root that never came.
  public mutating func finish(_ body: (_ event: ExitEvent, _ members: [ExitEvent]) -> Void) {
    for event in waiting { body(event, []) }
    waiting.removeAll(keepingCapacity: true)
  }
}
