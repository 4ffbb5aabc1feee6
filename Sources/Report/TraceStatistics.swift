import CostModel
import ExitAnalysis
import NestedVMX
import Trace
import VMX

/// What `testudo stat` says of a trace: exits per level as `perf kvm stat report` prints them, the multiplication, the
/// virtual time by phase, and L1's VMREADs and VMWRITEs by field.
public struct TraceStatistics: Sendable {
  /// The version of the JSON object.
  public static let schema = "testudo.stat/1"
  /// The VMCS fields that the text lists.
  static let listedFields = 16

  public let description: TraceDescription
  /// The name of the cost table that the times follow.
  public let costTable: String
  let prices: CostPrices
  let frequency: UInt64
  /// The table of ``prices`` with the certainty of each, if it is known.
  let costs: CostTable?
  private var repricing: Repricing?
  private(set) var work: WorkByItem
  private(set) var treeWork: TreeWork
  private(set) var statistics = ExitStatistics()
  private(set) var phases: PhaseBreakdown
  private(set) var fields = FieldCounts()
  private(set) var trees = TreeTotals()
  /// The TLB misses that events tell of, with the references of their walks, and all of the run by their length, if the
  /// trace has its end.
  private(set) var misses: (l1: WalkSum, l2: WalkSum) = (WalkSum(), WalkSum())
  private(set) var pageWalks: PageWalks?
  private(set) var lastCycle: UInt64 = 0
  private(set) var ending: TraceEnding?

  /// TLB misses and the memory references of their page walks.
  struct WalkSum: Sendable {
    var misses: UInt64 = 0
    var references: UInt64 = 0

    mutating func add(_ work: ExitWork) {
      misses &+= UInt64(work.tlbMisses)
      references &+= UInt64(work.walkReferences)
    }
  }

  /// The statistics of a trace as it is, or as it would be under `costs`. `recorded` is the table that it was made
  /// with, as far as anybody knows: it counts if its prices are those of the trace.
  public init(
    _ description: TraceDescription, under costs: CostTable? = nil, recorded table: CostTable? = nil
  ) {
    let recorded = description.prices
    self.costs = costs ?? (table?.prices == recorded ? table : nil)
    self.description = description
    costTable = costs?.name ?? description[TraceDescription.Key.costTable] ?? "unknown"
    prices = costs?.prices ?? recorded
    frequency = costs?.frequency ?? description.frequency
    work = WorkByItem(areMemoryAccesses: description.areMemoryAccesses)
    treeWork = TreeWork(areMemoryAccesses: description.areMemoryAccesses)
    phases = PhaseBreakdown(prices)
    repricing = costs.map {
      Repricing(from: recorded, to: $0.prices, areMemoryAccesses: description.areMemoryAccesses)
    }
  }

  /// Takes the next event.
  public mutating func add(_ event: ExitEvent) {
    lastCycle = max(lastCycle, event.end)
    guard var repricing else { return take(event) }
    self.repricing = nil
    var ready: [ExitEvent] = []
    repricing.add(event) { ready.append($0) }
    self.repricing = repricing
    for event in ready { take(event) }
  }

  private mutating func take(_ event: ExitEvent) {
    statistics.add(event)
    phases.add(event)
    fields.add(event)
    trees.add(event)
    work.add(event)
    treeWork.add(event)
    if event.from == .l2 { misses.l2.add(event.work) } else { misses.l1.add(event.work) }
  }

  /// Takes the page walks of the whole run.
  public mutating func add(_ walks: PageWalks) { pageWalks = walks }

  /// Takes the end of the trace.
  public mutating func finish(_ ending: TraceEnding) {
    self.ending = ending
    if case .complete(let summary) = ending { lastCycle = summary.cycles }
    var ready: [ExitEvent] = []
    let end = repricing?.finish(at: lastCycle) { ready.append($0) } ?? lastCycle
    for event in ready { take(event) }
    phases.finish(at: end)
  }

  var multiplication: Multiplication { trees.multiplication }
}

extension TraceDescription {
  /// The prices that the trace was made with; 0 for what it does not say.
  public var prices: CostPrices { CostPrices { self[Key.pricePrefix + $0.rawValue].flatMap { UInt64($0) } } }

  /// Whether L1's accesses of its VMCS that do not exit are memory accesses.
  var areMemoryAccesses: Bool {
    self[Key.vmcsAccess].flatMap(VMCSAccessModel.init(rawValue:))?.isMemoryAccess ?? false
  }
}
