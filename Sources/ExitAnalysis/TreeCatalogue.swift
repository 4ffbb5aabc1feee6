import CostModel
import Trace

/// One exit tree to look at.
public struct TreeExample: Equatable, Sendable {
  public var root: ExitEvent
  /// The exits that L1 caused meanwhile, as far as the first ``TreeCatalogue/memberLimit``.
  public var children: [ExitEvent]
  /// How many more there were.
  public var omitted: UInt64

  /// How long L2 had run before its exit, in cycles.
  public var ranBefore: UInt64 { root.ranCycles }

  /// The number of hardware exits.
  public var size: UInt64 { 1 &+ UInt64(children.count) &+ omitted }
}

/// The trees of a trace that have the same exits in the same order.
public struct CataloguedShape: Sendable {
  /// The basic exit reason of the roots.
  public var reason: UInt16
  /// The exits on one line, as ``ExitTree/text`` writes them.
  public var text: String
  /// The number of hardware exits in each tree.
  public var size: UInt64
  /// From the exit of L2 until it ran again.
  public var span = DurationSummary()
  /// What L0 spent.
  public var host = DurationSummary()
  /// A typical tree: the first whose VMCSs were recorded, or else the first; then the slowest, if it is another.
  public var examples: [TreeExample] = []

  /// How many trees there are.
  public var count: UInt64 { span.count }
}

/// What the trees of one root reason come to.
public struct CataloguedReason: Sendable {
  public var reason: UInt16
  public var sizes: [UInt64: UInt64] = [:]
  public var exits = DurationSummary()
  public var span = DurationSummary()
  public var spans = LogHistogram()
  public var phases = TreePhases()
}

/// The exit trees of a trace by root reason and shape, with examples, one event at a time in bounded memory.
///
/// The events of several virtual CPUs may come in any order among each other.
public struct TreeCatalogue: Sendable {
  /// The shapes that are told apart; the trees of further ones count for their root reason only.
  public static let shapeLimit = 512
  /// The exits of L1 that an example keeps.
  public static let memberLimit = 256
  /// Longer trees count as of this size, and tell their shapes by their beginning and their size.
  static let sizeLimit: UInt64 = 4096
  private static let runLimit = 1024

  /// A tree whose root has not come yet.
  private struct Open: Sendable {
    /// Reason and length of each run of equal exits, alternately.
    var runs: [UInt64] = []
    var members: [ExitEvent] = []
    var size: UInt64 = 0
    var host: UInt64 = 0
    var phases = TreePhases()

    /// Takes an exit of L1.
    mutating func add(_ event: ExitEvent, _ prices: CostPrices) {
      size &+= 1
      host &+= event.hostCycles
      phases.add(event, prices)
      if members.count < TreeCatalogue.memberLimit { members.append(event) }
      let last = runs.count - 2
      if last >= 0, runs[last] == UInt64(event.reason) {
        runs[last + 1] &+= 1
      } else if last < 2 * TreeCatalogue.runLimit {
        runs.append(UInt64(event.reason))
        runs.append(1)
      }
    }
  }

  private let prices: CostPrices
  private let chosen: Set<UInt64>
  private var open: [UInt8: Open] = [:]
  private var shapeTable: [[UInt64]: CataloguedShape] = [:]
  private var reasonTable: [UInt16: CataloguedReason] = [:]
  /// Ordinals of trees whose VMCSs were recorded and whose root has not come yet.
  private var recorded: Set<UInt64> = []
  private var recordedExamples: Set<UInt64> = []
  /// The trees asked for by their ordinals.
  public private(set) var chosenExamples: [TreeExample] = []
  /// Trees whose shape found no place.
  public private(set) var others: UInt64 = 0

  /// `prices` are those that the trace was made with; `chosen` are ordinals of trees to keep in any case.
  public init(_ prices: CostPrices, chosen: Set<UInt64> = []) {
    self.prices = prices
    self.chosen = chosen
  }

  /// Takes note that the VMCSs of `tree` were recorded, before its root comes.
  public mutating func noteSnapshots(of tree: UInt64) { recorded.insert(tree) }

  /// Takes the next event, in the order of a log.
  public mutating func add(_ event: ExitEvent) {
    if event.isTreeRoot {
      var tree = Open()
      swap(&tree, &open[event.processor, default: Open()])
      close(event, &tree)
      open[event.processor] = tree
    } else if event.from == .l1, event.tree != ExitEvent.noTree {
      open[event.processor, default: Open()].add(event, prices)
    }
  }

  private mutating func close(_ root: ExitEvent, _ tree: inout Open) {
    if root.isFinished {
      tree.phases.add(host: root, prices)
      tree.phases.close(span: root.span)
      count(root, tree)
      countShape(root, &tree)
    }
    tree.runs.removeAll(keepingCapacity: true)
    tree.members.removeAll(keepingCapacity: true)
    tree.size = 0
    tree.host = 0
    tree.phases = TreePhases()
  }

  private mutating func count(_ root: ExitEvent, _ tree: Open) {
    let size = tree.size &+ 1
    let reason = root.reason
    reasonTable[reason, default: CataloguedReason(reason: reason)].sizes[
      min(size, Self.sizeLimit), default: 0] &+= 1
    reasonTable[reason]?.exits.add(size)
    reasonTable[reason]?.span.add(root.span)
    reasonTable[reason]?.spans.add(root.span)
    reasonTable[reason]?.phases.add(tree.phases)
  }

  private mutating func countShape(_ root: ExitEvent, _ tree: inout Open) {
    tree.runs.append(UInt64(root.reason))
    tree.runs.append(tree.size)
    if chosen.contains(root.tree) { chosenExamples.append(example(root, tree)) }
    let hasSnapshots = !recorded.isEmpty && recorded.remove(root.tree) != nil
    let position = shapeTable.index(forKey: tree.runs)
    guard position != nil || shapeTable.count < Self.shapeLimit else {
      others &+= 1
      return
    }
    var shape = position.map { shapeTable.values[$0] } ?? newShape(root, tree)
    update(&shape, root, tree, hasSnapshots: hasSnapshots)
    if let position {
      shapeTable.values[position] = shape
    } else {
      shapeTable[tree.runs] = shape
    }
  }

  private func newShape(_ root: ExitEvent, _ tree: Open) -> CataloguedShape {
    var text = ExitTree(root: root, children: tree.members).text
    if tree.size > UInt64(tree.members.count) { text += " … \(tree.size &+ 1) exits" }
    return CataloguedShape(reason: root.reason, text: text, size: tree.size &+ 1)
  }

  private mutating func update(
    _ shape: inout CataloguedShape, _ root: ExitEvent, _ tree: Open, hasSnapshots: Bool
  ) {
    let isFirst = shape.count == 0
    let isSlowest = root.span > shape.span.most
    shape.span.add(root.span)
    shape.host.add(tree.host &+ root.hostCycles)
    let isTypical =
      hasSnapshots && !(shape.examples.first.map { recordedExamples.contains($0.root.tree) } ?? false)
    if isFirst || isTypical {
      let example = example(root, tree)
      shape.examples = [example] + shape.examples.dropFirst()
      if hasSnapshots { recordedExamples.insert(root.tree) }
    } else if isSlowest, let first = shape.examples.first {
      shape.examples = [first, example(root, tree)]
    }
  }

  private func example(_ root: ExitEvent, _ tree: Open) -> TreeExample {
    TreeExample(
      root: root, children: tree.members, omitted: tree.size &- UInt64(tree.members.count))
  }

  // MARK: Results

  /// The shapes by root reason, the most frequent first.
  public var shapes: [CataloguedShape] {
    shapeTable.values.sorted { ($0.reason, $1.count, $0.text) < ($1.reason, $0.count, $1.text) }
  }

  /// The root reasons, the most frequent first.
  public var reasons: [CataloguedReason] {
    reasonTable.values.sorted { ($1.exits.count, $0.reason) < ($0.exits.count, $1.reason) }
  }
}
