import CostModel
import Trace
import VMX

/// A part of a nested machine's virtual time, after the breakdown of Vilanova et al., SVt, ISCA 2019.
public enum Phase: Int, CaseIterable, Sendable {
  /// L2 runs.
  case l2
  /// Exits of L2 and entries into it: the processor's part.
  case switchL2
  /// L0 makes vmcs02 of vmcs12, or vmcs12 of vmcs02.
  case transform
  /// L0 handles the exit otherwise.
  case handlerL0
  /// Exits of L1 and entries into it: the processor's part.
  case switchL1
  /// L1 runs between an exit of L2 that it handles and its VMRESUME.
  case handlerL1
  /// L1 runs for itself.
  case l1
  /// The guest waits, as in HLT.
  case idle

  /// What tables call it.
  public var name: StaticString {
    switch self {
    case .l2: "L2 runs"
    case .switchL2: "switch L2 ↔ L0"
    case .transform: "vmcs02 ↔ vmcs12"
    case .handlerL0: "L0 handler"
    case .switchL1: "switch L0 ↔ L1"
    case .handlerL1: "L1 handler"
    case .l1: "L1 for itself"
    case .idle: "idle"
    }
  }

  /// What JSON calls it.
  public var key: StaticString {
    switch self {
    case .l2: "l2"
    case .switchL2: "switchL2"
    case .transform: "transform"
    case .handlerL0: "handlerL0"
    case .switchL1: "switchL1"
    case .handlerL1: "handlerL1"
    case .l1: "l1"
    case .idle: "idle"
    }
  }
}

/// The virtual time of a run by phase. The phases add up to the virtual time, exactly.
///
/// With several virtual CPUs, the time between two exits counts for the level of the CPU that exits next.
public struct PhaseBreakdown: Sendable {
  /// What one exit costs beside L0's work, and what L0's work costs.
  private let prices: CostPrices
  private var cycles: InlineArray<8, UInt64> = InlineArray(repeating: 0)
  /// When the guest that runs now began to.
  private var resumed: UInt64 = 0
  /// ``resumed`` as it was before the first exit of the open tree, if one has been seen.
  private var resumedBeforeTree: UInt64?
  /// The level that runs since then.
  private var running = ExitLevel.l1

  /// `prices` are those that the trace was made with.
  public init(_ prices: CostPrices) { self.prices = prices }

  public subscript(phase: Phase) -> UInt64 { cycles[phase.rawValue] }

  /// The sum of all phases.
  public var total: UInt64 { Phase.allCases.reduce(0) { $0 &+ self[$1] } }

  /// Takes the next event, in the order of a log.
  public mutating func add(_ event: ExitEvent) {
    addHostWork(event)
    if event.isTreeRoot {
      closeTree(event)
    } else if event.tree != ExitEvent.noTree, event.from == .l1 {
      if resumedBeforeTree == nil { resumedBeforeTree = resumed }
      addRun(.handlerL1, until: event)
    } else {
      addRun(event.from == .l2 ? .l2 : .l1, until: event)
    }
    if event.from == .l2 { running = event.isTreeRoot && !event.isFinished ? .l1 : .l2 }
    if event.from == .l1 { running = HostParts.entersL2(event) ? .l2 : .l1 }
  }

  /// Ends the run at `now`.
  public mutating func finish(at now: UInt64) {
    add(running == .l2 ? .l2 : .l1, now &- resumed)
    resumed = now
  }

  /// The guest ran up to `event`, and again from its end on; what of its span was not L0's was waiting.
  private mutating func addRun(_ phase: Phase, until event: ExitEvent) {
    add(phase, event.start &- resumed)
    add(.idle, event.span &- event.hostCycles)
    resumed = event.end
  }

  /// The root of a tree comes after its members, whose first was taken to reach back to before the root.
  private mutating func closeTree(_ root: ExitEvent) {
    let before = resumedBeforeTree ?? resumed
    let ranBefore = root.start &- before
    add(.l2, ranBefore)
    if resumedBeforeTree == nil {
      add(.handlerL1, root.span &- root.hostCycles)
      resumed = root.end
    } else {
      add(.handlerL1, 0 &- ranBefore &- root.hostCycles)
      if root.end > resumed {
        add(.handlerL1, root.end &- resumed)
        resumed = root.end
      }
    }
    resumedBeforeTree = nil
  }

  /// L0's part, by the same prices as in the run.
  private mutating func addHostWork(_ event: ExitEvent) {
    let parts = HostParts(event, prices)
    add(event.from == .l2 ? .switchL2 : .switchL1, parts.exit)
    add(parts.resumed == .l2 ? .switchL2 : .switchL1, parts.entry)
    add(.transform, parts.transform)
    add(.handlerL0, parts.handler)
  }

  private mutating func add(_ phase: Phase, _ amount: UInt64) { cycles[phase.rawValue] &+= amount }
}
