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
  /// The guest waits, as in HLT, and so does every other.
  case idle
  /// Other virtual CPUs run: a part of an exit's span, or of one virtual CPU's time, but not of a run's.
  case others

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
    case .others: "other CPUs run"
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
    case .others: "others"
    }
  }
}

/// The virtual time of a run by phase. The phases add up to the virtual time, exactly: each event tells what its guest
/// ran and what L0 spent and waited, whatever the order in which those of several virtual CPUs come.
public struct PhaseBreakdown: Sendable {
  /// What one exit costs beside L0's work, and what L0's work costs.
  private let prices: CostPrices
  /// By virtual CPU, as far as the highest that has exited.
  private var byProcessor: [TreePhases] = [TreePhases()]
  /// The time that events have accounted for.
  private var known: UInt64 = 0
  /// When the virtual CPU that was entered last was, and what runs there since.
  private var lastEntry: UInt64 = 0
  private var lastProcessor: UInt8 = 0
  private var running = Phase.l1
  /// The virtual CPUs on which the end cut a tree short.
  private var cutTrees: Set<UInt8> = []

  /// `prices` are those that the trace was made with.
  public init(_ prices: CostPrices) { self.prices = prices }

  public subscript(phase: Phase) -> UInt64 { byProcessor.reduce(0) { $0 &+ $1[phase] } }

  /// The sum of all phases.
  public var total: UInt64 { byProcessor.reduce(0) { $0 &+ $1.total } }

  /// The time of each virtual CPU by phase, as many as have exited. Each adds up to the run's virtual time: what is
  /// none of its own, others ran or waited.
  public var processors: [TreePhases] {
    let total = total
    return byProcessor.map { own in
      var phases = own
      phases[.others] = total &- own.total
      return phases
    }
  }

  /// Takes the next event of a log.
  public mutating func add(_ event: ExitEvent) {
    let number = Int(event.processor)
    while byProcessor.count <= number { byProcessor.append(TreePhases()) }
    byProcessor[number].add(event, prices)
    known &+= event.ranCycles &+ event.hostCycles &+ event.waitedCycles
    guard event.isFinished else {
      if event.isTreeRoot { cutTrees.insert(event.processor) }
      return
    }
    guard event.end >= lastEntry else { return }
    lastEntry = event.end
    lastProcessor = event.processor
    running = event.from == .l2 || HostParts.entersL2(event) ? .l2 : .l1
  }

  /// Ends the run at `now`: what no event has accounted for, the virtual CPU that was entered last ran.
  public mutating func finish(at now: UInt64) {
    let rest = now &- known
    known = now
    byProcessor[Int(lastProcessor)][cutTrees.contains(lastProcessor) ? .handlerL1 : running] &+= rest
  }
}
