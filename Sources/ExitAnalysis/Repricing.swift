import CostModel
import Trace

/// Tells a recorded trace as it would have been under other prices: what the guests did is the same, and what L0 did,
/// but for what they cost.
///
/// A run under the other table gives the same trace, unless a guest or a device looked at the clock. Of several virtual
/// CPUs each is told by itself: the time that others take in the span of an exit stays as it was.
public struct Repricing: Sendable {
  private let old: CostPrices
  private let new: CostPrices
  private let areMemoryAccesses: Bool
  private var buffer = TreeBuffer()
  /// By how much each virtual CPU is later than it was, and all together; modulo 2^64.
  private var delays: [UInt64] = [0]
  private var delay: UInt64 = 0

  /// From a trace that was made with `old` prices to `new` ones. `areMemoryAccesses`: whether L1's accesses of its VMCS
  /// that do not exit are memory accesses, as with some access models.
  public init(from old: CostPrices, to new: CostPrices, areMemoryAccesses: Bool) {
    self.old = old
    self.new = new
    self.areMemoryAccesses = areMemoryAccesses
  }

  /// Takes the next event of a log, and hands on what is ready, again in the order of a log.
  public mutating func add(_ event: ExitEvent, _ body: (ExitEvent) -> Void) {
    while delays.count <= Int(event.processor) { delays.append(0) }
    var ready: [(ExitEvent, [ExitEvent])] = []
    buffer.add(event) { ready.append(($0, $1)) }
    for (event, members) in ready { tell(event, members, body) }
  }

  /// Ends the trace, which ended at `cycles`; returns when it ends now.
  public mutating func finish(at cycles: UInt64, _ body: (ExitEvent) -> Void) -> UInt64 {
    var ready: [ExitEvent] = []
    buffer.finish { event, _ in ready.append(event) }
    for event in ready { tell(event, [], body) }
    return cycles &+ delay
  }

  private mutating func tell(_ event: ExitEvent, _ members: [ExitEvent], _ body: (ExitEvent) -> Void) {
    var event = event
    let ran =
      event.ranCycles &- old.guestWork(event.work, areMemoryAccesses: areMemoryAccesses)
      &+ new.guestWork(event.work, areMemoryAccesses: areMemoryAccesses)
    let host = new.exit(event.work)
    let number = Int(event.processor)
    move(number, by: ran &- event.ranCycles)
    event.ranCycles = ran
    event.start = event.start &+ delays[number]
    move(number, by: host &- event.hostCycles)
    event.hostCycles = host
    for member in members { tell(member, [], body) }
    event.end = event.end &+ delays[number]
    body(event)
  }

  private mutating func move(_ processor: Int, by cycles: UInt64) {
    delays[processor] = delays[processor] &+ cycles
    delay = delay &+ cycles
  }
}
