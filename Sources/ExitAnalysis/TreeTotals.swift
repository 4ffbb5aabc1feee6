import Trace

/// The exit trees of a trace by their number of hardware exits, one event at a time in fixed memory. Those of
/// several virtual CPUs may come in any order among each other.
public struct TreeTotals: Sendable {
  /// Trees of at least this many exits are counted together.
  static let sizeLimit = 4096

  private var countBySize: [Int: UInt64] = [:]
  /// By virtual CPU, the exits of its open tree.
  private var open: [Int] = [0]
  public private(set) var multiplication = Multiplication()
  private var table: [UInt16: Reason] = [:]

  /// What the trees of one root reason come to.
  public struct Reason: Sendable {
    public var reason: UInt16
    /// Hardware exits per tree.
    public var exits = DurationSummary()
    /// Cycles from the exit of L2 until it ran again.
    public var span = DurationSummary()
  }

  public init() {}

  public mutating func add(_ event: ExitEvent) {
    let number = Int(event.processor)
    while open.count <= number { open.append(0) }
    if event.isTreeRoot {
      if event.isFinished { count(open[number] + 1, event) }
      open[number] = 0
    } else if event.from == .l1, event.tree != ExitEvent.noTree {
      open[number] += 1
    }
  }

  private mutating func count(_ size: Int, _ root: ExitEvent) {
    table[root.reason, default: Reason(reason: root.reason)].exits.add(UInt64(size))
    table[root.reason, default: Reason(reason: root.reason)].span.add(root.span)
    multiplication.l2Exits &+= 1
    multiplication.hardwareExits &+= UInt64(size)
    countBySize[min(size, Self.sizeLimit), default: 0] &+= 1
  }

  /// The trees by root reason, the most frequent first.
  public var reasons: [Reason] {
    table.values.sorted { ($1.exits.count, $0.reason) < ($0.exits.count, $1.reason) }
  }

  /// The number of trees of each size, from the smallest; the last may be `4096 or more`.
  public var sizes: [(size: String, count: UInt64)] {
    countBySize.sorted { $0.key < $1.key }
      .map { ($0.key == Self.sizeLimit ? "\($0.key) or more" : "\($0.key)", $0.value) }
  }
}
