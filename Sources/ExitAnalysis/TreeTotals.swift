import Trace

/// The exit trees of a trace by their number of hardware exits, one event at a time in fixed memory.
public struct TreeTotals: Sendable {
  /// Trees of at least this many exits are counted together.
  static let sizeLimit = 4096

  private var countBySize: [Int: UInt64] = [:]
  private var open: Int = 0
  public private(set) var multiplication = Multiplication()

  public init() {}

  public mutating func add(_ event: ExitEvent) {
    if event.isTreeRoot {
      if event.isFinished { count(open + 1) }
      open = 0
    } else if event.from == .l1, event.tree != ExitEvent.noTree {
      open += 1
    }
  }

  private mutating func count(_ size: Int) {
    multiplication.l2Exits &+= 1
    multiplication.hardwareExits &+= UInt64(size)
    countBySize[min(size, Self.sizeLimit), default: 0] &+= 1
  }

  /// The number of trees of each size, from the smallest; the last may be `4096 or more`.
  public var sizes: [(size: String, count: UInt64)] {
    countBySize.sorted { $0.key < $1.key }
      .map { ($0.key == Self.sizeLimit ? "\($0.key) or more" : "\($0.key)", $0.value) }
  }
}
