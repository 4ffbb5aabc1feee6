import CostModel
import Trace

/// The virtual time of exit trees by phase. The phases of a tree add up to its span, exactly.
public struct TreePhases: Equatable, Sendable {
  private var cycles: InlineArray<8, UInt64> = InlineArray(repeating: 0)

  public init() {}

  public static func == (left: TreePhases, right: TreePhases) -> Bool {
    Phase.allCases.allSatisfy { left[$0] == right[$0] }
  }

  public subscript(phase: Phase) -> UInt64 {
    get { cycles[phase.rawValue] }
    set { cycles[phase.rawValue] = newValue }
  }

  public var total: UInt64 { Phase.allCases.reduce(0) { $0 &+ self[$1] } }

  /// Adds what L0 spent on `event` and what its guest then waited, but for the time that L1 ran.
  mutating func add(host event: ExitEvent, _ prices: CostPrices) {
    let parts = HostParts(event, prices)
    self[event.from == .l2 ? .switchL2 : .switchL1] &+= parts.exit
    self[parts.resumed == .l2 ? .switchL2 : .switchL1] &+= parts.entry
    self[.transform] &+= parts.transform
    self[.handlerL0] &+= parts.handler
    if !event.isTreeRoot { self[.idle] &+= event.span &- event.hostCycles }
  }

  /// Ends a tree that spans `span`: what nobody else had was L1's.
  mutating func close(span: UInt64) { self[.handlerL1] &+= span &- total }

  mutating func add(_ other: TreePhases) {
    for phase in Phase.allCases { self[phase] &+= other[phase] }
  }
}
