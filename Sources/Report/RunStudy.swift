import CostModel
import ExitAnalysis
import Trace
import VMX

/// Everything that a report says of one trace, gathered one block at a time in bounded memory.
public struct RunStudy: Sendable {
  /// The trees whose VMCSs are kept at the most.
  static let snapshotLimit = 256

  public private(set) var statistics: TraceStatistics
  public private(set) var catalogue: TreeCatalogue
  private(set) var violations = EPTViolations()
  private(set) var operands = OperandCounts()
  /// The VMCSs at the steps of some trees, by the trees' ordinals.
  private(set) var snapshots: [UInt64: [VMCSSnapshot]] = [:]

  private var repricing: Repricing?

  /// `chosen` are ordinals of L2 exits whose trees are shown in any case; `costs` and `recorded` are as for
  /// ``TraceStatistics``.
  public init(
    _ description: TraceDescription, chosen: Set<UInt64> = [], under costs: CostTable? = nil,
    recorded: CostTable? = nil
  ) {
    statistics = TraceStatistics(description, under: costs, recorded: recorded)
    repricing = costs.map {
      Repricing(from: description.prices, to: $0.prices, areMemoryAccesses: description.areMemoryAccesses)
    }
    catalogue = TreeCatalogue(statistics.prices, chosen: chosen)
  }

  public var description: TraceDescription { statistics.description }

  /// Takes the next event.
  public mutating func add(_ event: ExitEvent) {
    statistics.add(event)
    violations.add(event)
    operands.add(event)
    guard var repricing else { return catalogue.add(event) }
    self.repricing = nil
    repricing.add(event) { catalogue.add($0) }
    self.repricing = repricing
  }

  /// Takes the page walks of the whole run.
  public mutating func add(_ walks: PageWalks) { statistics.add(walks) }

  /// Takes some snapshots of a tree, before its root.
  public mutating func add(_ snapshots: TreeSnapshots) {
    guard self.snapshots[snapshots.tree] != nil || self.snapshots.count < Self.snapshotLimit else { return }
    let room = 2 * TreeSnapshots.stepLimit - self.snapshots[snapshots.tree, default: []].count
    self.snapshots[snapshots.tree, default: []] += snapshots.snapshots.prefix(max(0, room))
    catalogue.noteSnapshots(of: snapshots.tree)
  }

  /// Takes the end of the trace.
  public mutating func finish(_ ending: TraceEnding) {
    statistics.finish(ending)
    var last = repricing
    repricing = nil
    _ = last?.finish(at: 0) { catalogue.add($0) }
  }

  /// The trees that a report shows: those asked for, then the examples of the shapes, the frequent shapes first.
  var shownTrees: [(shape: Int?, example: TreeExample)] {
    var shown: [(shape: Int?, example: TreeExample)] = catalogue.chosenExamples.map { (nil, $0) }
    for (index, shape) in catalogue.shapes.enumerated() {
      for example in shape.examples
      where !shown.contains(where: { $0.example.root.tree == example.root.tree }) {
        shown.append((index, example))
      }
    }
    return shown
  }

  /// Whether the tree of the L2 exit `number` was asked for and found.
  public func hasShown(_ number: UInt64) -> Bool {
    catalogue.chosenExamples.contains { $0.root.tree == number }
  }

  // MARK: For people

  /// What `testudo stat` says, and the shapes of the trees.
  public func text() -> String {
    var table = TextTable(columns: [
      .init("trees", .right), .init("exits", .right), .init("cycles", .right), .init("L0's", .right),
      .init("exits in order"),
    ])
    for shape in catalogue.shapes {
      table.append([
        grouped(shape.count), grouped(shape.size), whole(shape.span.mean),
        whole(shape.host.mean), shape.text,
      ])
    }
    var text = statistics.text()
    if !table.rows.isEmpty { text += "\nExit trees by shape, cycles on average:\n\n" + table.rendered() }
    let sections = RunSections(self)
    for (title, table) in [
      ("Distributions over the L2 exits that L1 handled", sections.distributionTable),
      ("How fields of vmcs02 came about, for one VM entry", sections.mergeTable),
      ("What filled ept02 by exits of L2, and why", sections.violationTable),
      ("What exits were about", sections.subjectTable),
    ] where !table.rows.isEmpty {
      text += "\n\(title):\n\n" + table.rendered()
    }
    return text
  }
}
