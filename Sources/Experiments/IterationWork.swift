import CostModel
import ExitAnalysis
import Hypervisor
import Trace
import VMX

/// What the iterations of a workload took: everything from L1's VMRESUME that answers the first CPUID of L2 to the second,
/// between which L2 does nothing else; or what one run took more than another.
public struct IterationWork: Equatable, Sendable {
  /// What was paid for, that VMRESUME included.
  public private(set) var work: WorkByItem
  /// The exits of L2 that L0 kept, those that L1 handled, and the exits of L1.
  public private(set) var keptByL0: UInt64 = 0
  public private(set) var handledByL1: UInt64 = 0
  public private(set) var fromL1: UInt64 = 0
  /// The instructions that were retired, and the cycles in which the whole machine waited.
  public private(set) var instructions: UInt64 = 0
  public private(set) var waited: UInt64 = 0
  /// The cycles that all of it spans.
  public private(set) var span: UInt64 = 0

  /// The exits of a run of one virtual CPU, in the order of their trees' ends; nil if there are no two CPUIDs of L2.
  /// `areMemoryAccesses`: whether L1's accesses of its VMCS that do not exit are memory accesses.
  public init?(_ events: [ExitEvent], areMemoryAccesses: Bool) {
    work = WorkByItem(areMemoryAccesses: areMemoryAccesses)
    let inOrder = events.sorted { $0.start < $1.start }
    guard let first = inOrder.firstIndex(where: Self.isMark),
      let begin = inOrder[first...].firstIndex(where: { $0.reason == ExitReason.vmresume.rawValue }),
      let end = inOrder[begin...].firstIndex(where: Self.isMark)
    else { return nil }
    for number in begin..<end { add(inOrder[number], before: inOrder[number + 1]) }
    instructions = inOrder[end].instructions &- inOrder[begin].instructions
    span = inOrder[end].start &- inOrder[begin].start
  }

  static func isMark(_ event: ExitEvent) -> Bool {
    event.from == .l2 && event.reason == ExitReason.cpuid.rawValue
  }

  /// Adds what L0 did for `event`, and what the guest did from then to `next`.
  private mutating func add(_ event: ExitEvent, before next: ExitEvent) {
    var event = event
    event.work.walkReferences = next.work.walkReferences
    event.work.guestReads = next.work.guestReads
    event.work.guestWrites = next.work.guestWrites
    waited &+= event.waitedCycles
    add(event)
  }

  private mutating func countByLevel(_ event: ExitEvent) {
    switch (event.from, event.routedTo) {
    case (.l2, .l1): handledByL1 &+= 1
    case (.l2, _): keptByL0 &+= 1
    default: fromL1 &+= 1
    }
  }

  /// Nothing yet, for the sum of a whole run: see ``add(_:)`` and ``finish(_:)``.
  public init(areMemoryAccesses: Bool) { work = WorkByItem(areMemoryAccesses: areMemoryAccesses) }

  /// Adds an exit, what L0 did for it, and what the guest ran before it.
  public mutating func add(_ event: ExitEvent) {
    work.add(event)
    countByLevel(event)
  }

  /// Takes what a run has counted as a whole, once all of its exits are added.
  public mutating func finish(_ result: RunResult) {
    instructions = result.instructions
    waited = result.idleCycles
    span = result.virtualCycles
  }

  /// What this run took more than `shorter`.
  public func beyond(_ shorter: IterationWork) -> IterationWork {
    var difference = self
    difference.work.subtract(shorter.work)
    difference.keptByL0 &-= shorter.keptByL0
    difference.handledByL1 &-= shorter.handledByL1
    difference.fromL1 &-= shorter.fromL1
    difference.instructions &-= shorter.instructions
    difference.waited &-= shorter.waited
    difference.span &-= shorter.span
    return difference
  }

  /// What the counts come to by `prices`: ``span``, exactly, for the prices of the run.
  public func predicted(_ prices: CostPrices) -> UInt64 { work.cycles(prices) &+ instructions &+ waited }
}

/// Keeps of a run's exits those that ``IterationWork`` needs, as they come.
struct IterationRecord {
  /// The exits of no more than one tree, until the first CPUID of L2 has come.
  private static let limit = 100_000

  private(set) var events: [ExitEvent] = []
  private var hasBegun = false

  mutating func add(_ event: ExitEvent) {
    if !hasBegun {
      hasBegun = IterationWork.isMark(event)
      if !hasBegun, event.from == .l2 || events.count >= Self.limit {
        events.removeAll(keepingCapacity: true)
      }
    }
    events.append(event)
  }
}
