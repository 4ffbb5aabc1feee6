import CostModel
import Trace

/// Virtual time by phase: that of exit trees, or of a virtual CPU. The phases of a tree add up to its span, exactly.
public struct TreePhases: Equatable, Sendable {
  private var cycles: InlineArray<9, UInt64> = InlineArray(repeating: 0)

  public init() {}

  public static func == (left: TreePhases, right: TreePhases) -> Bool {
    Phase.allCases.allSatisfy { left[$0] == right[$0] }
  }

  public subscript(phase: Phase) -> UInt64 {
    get { cycles[phase.rawValue] }
    set { cycles[phase.rawValue] = newValue }
  }

  public var total: UInt64 { Phase.allCases.reduce(0) { $0 &+ self[$1] } }

  /// Adds what L0 spent on `event`, and what its guest then waited.
  mutating func add(host event: ExitEvent, _ prices: CostPrices) {
    let parts = HostParts(event, prices)
    self[event.from == .l2 ? .switchL2 : .switchL1] &+= parts.exit
    self[parts.resumed == .l2 ? .switchL2 : .switchL1] &+= parts.entry
    self[.transform] &+= parts.transform
    self[.handlerL0] &+= parts.handler
    self[.idle] &+= event.waitedCycles
  }

  /// Adds all that `event` accounts for.
  mutating func add(_ event: ExitEvent, _ prices: CostPrices) {
    add(host: event, prices)
    self[event.from == .l2 ? .l2 : event.tree == ExitEvent.noTree ? .l1 : .handlerL1] &+= event.ranCycles
  }

  /// Ends a tree that spans `span`: what is none of its own, other virtual CPUs had.
  mutating func close(span: UInt64) { self[.others] &+= span &- total }

  mutating func add(_ other: TreePhases) {
    for phase in Phase.allCases { self[phase] &+= other[phase] }
  }
}
