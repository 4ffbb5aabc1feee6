import CostModel
import Trace

/// Tells a recorded trace as it would have been under other prices: what the guests did is the same, and what L0 did, but
/// for what they cost.
///
/// A run under the other table gives the same trace, unless a guest or a device looked at the clock.
public struct Repricing: Sendable {
  private let old: CostPrices
  private let new: CostPrices
  private let areMemoryAccesses: Bool
  private var buffer = TreeBuffer()
  /// The time up to which the trace is told, as it was and as it is now.
  private var oldTime: UInt64 = 0
  private var newTime: UInt64 = 0

  /// From a trace that was made with `old` prices to `new` ones. `areMemoryAccesses`: whether L1's accesses of its VMCS
  /// that do not exit are memory accesses, as with some access models.
  public init(from old: CostPrices, to new: CostPrices, areMemoryAccesses: Bool) {
    self.old = old
    self.new = new
    self.areMemoryAccesses = areMemoryAccesses
  }

  /// Takes the next event of a log, and hands on what is ready, again in the order of a log.
  public mutating func add(_ event: ExitEvent, _ body: (ExitEvent) -> Void) {
    var ready: [(ExitEvent, [ExitEvent])] = []
    buffer.add(event) { ready.append(($0, $1)) }
    for (event, members) in ready { tell(event, members, body) }
  }

  /// Ends the trace, which ended at `cycles`; returns when it ends now.
  public mutating func finish(at cycles: UInt64, _ body: (ExitEvent) -> Void) -> UInt64 {
    var ready: [ExitEvent] = []
    buffer.finish { event, _ in ready.append(event) }
    for event in ready { tell(event, [], body) }
    return newTime &+ (cycles &- oldTime)
  }

  private mutating func tell(_ event: ExitEvent, _ members: [ExitEvent], _ body: (ExitEvent) -> Void) {
    var event = event
    let oldEnd = event.end
    begin(&event)
    guard event.isTreeRoot else {
      // What of its span was not L0's was waiting.
      let waited = oldEnd &- oldTime
      oldTime = oldEnd
      newTime = newTime &+ waited
      event.end = newTime
      return body(event)
    }
    for member in members { tell(member, [], body) }
    let rest = oldEnd &- oldTime
    oldTime = oldEnd
    newTime = newTime &+ rest
    event.end = newTime
    body(event)
  }

  /// Moves both times to where L0 has dealt with the exit.
  private mutating func begin(_ event: inout ExitEvent) {
    let accesses = old.guestAccesses(event.work, areMemoryAccesses: areMemoryAccesses)
    let newAccesses = new.guestAccesses(event.work, areMemoryAccesses: areMemoryAccesses)
    let ran = event.start &- oldTime &- accesses
    oldTime = event.start &+ event.hostCycles
    event.start = newTime &+ ran &+ newAccesses
    event.hostCycles = new.exit(event.work)
    newTime = event.start &+ event.hostCycles
  }
}
