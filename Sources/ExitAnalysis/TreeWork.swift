import CostModel
import Trace

/// What the exit trees of a trace are made of, by the items of a cost table: the arithmetic of an L2 exit that L1
/// handles. The events of several virtual CPUs may come in any order among each other.
public struct TreeWork: Equatable, Sendable {
  /// The trees that ended with L2 running again.
  public private(set) var trees: UInt64 = 0
  /// The cycles that they span.
  public private(set) var span: UInt64 = 0
  /// The instructions that were retired in them, of other virtual CPUs too.
  public private(set) var instructions: UInt64 = 0
  /// The cycles in them in which the whole machine waited.
  public private(set) var waited: UInt64 = 0
  /// What was paid for in them.
  public private(set) var work: WorkByItem
  /// The exit reason of the roots that count; nil if all do.
  private let reason: UInt16?
  /// By virtual CPU, what has come of the tree whose root has not.
  private var open: [Part]
  private let empty: Part

  private struct Part: Equatable, Sendable {
    var work: WorkByItem
    var waited: UInt64 = 0
    /// The instructions retired at the last exit.
    var instructions: UInt64?
  }

  /// `areMemoryAccesses`: whether L1's accesses of its VMCS that do not exit are memory accesses. With `reason`, only
  /// the trees of L2 exits for it are looked at.
  public init(areMemoryAccesses: Bool, of reason: UInt16? = nil) {
    self.reason = reason
    work = WorkByItem(areMemoryAccesses: areMemoryAccesses)
    empty = Part(work: work)
    open = [empty]
  }

  public mutating func add(_ event: ExitEvent) {
    guard event.tree != ExitEvent.noTree, event.isTreeRoot || event.from == .l1 else { return }
    let number = Int(event.processor)
    while open.count <= number { open.append(empty) }
    guard event.isTreeRoot else {
      open[number].work.add(event)
      open[number].waited &+= event.waitedCycles
      open[number].instructions = event.instructions
      return
    }
    if event.isFinished, reason == nil || reason == event.reason { close(event, open[number]) }
    open[number] = empty
  }

  private mutating func close(_ root: ExitEvent, _ part: Part) {
    trees &+= 1
    span &+= root.span
    waited &+= part.waited &+ root.waitedCycles
    instructions &+= (part.instructions ?? root.instructions) &- root.instructions
    work.add(part.work)
    // What the guest did before the root is L2's, and before the tree.
    var root = root
    (root.work.guestReads, root.work.guestWrites, root.work.walkReferences) = (0, 0, 0)
    work.add(root)
  }

  /// How often an item was paid for in one tree on average.
  public func perTree(_ item: CostItem) -> Double { trees == 0 ? 0 : Double(work[item]) / Double(trees) }

  /// What the trees take by `prices`: counts times prices, a cycle for each instruction, and the waiting. With one
  /// virtual CPU it is ``span``, exactly, for the prices of the run.
  public func predicted(_ prices: CostPrices) -> UInt64 { work.cycles(prices) &+ instructions &+ waited }

  /// What the trees span beside what was paid for: L1's instructions, waiting, and other virtual CPUs.
  public func rest(_ prices: CostPrices) -> UInt64 { span &- work.cycles(prices) }
}
