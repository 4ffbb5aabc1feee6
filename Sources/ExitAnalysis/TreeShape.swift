import Trace

/// The trees of one root reason that have the same exits in the same order.
public struct TreeShape: Equatable, Sendable {
  /// The basic exit reason of the roots.
  public var reason: UInt16
  /// The canonical text of each of these trees.
  public var text: String
  /// The number of hardware exits in each.
  public var size: Int
  /// How many of them there are.
  public var count: Int
  /// Their part of all trees of their root reason, 0 to 1.
  public var share: Double
  /// The virtual cycles of all of them, from exit to resumption.
  public var inclusiveCycles: UInt64
  /// The part of these cycles that L0 spent.
  public var hostCycles: UInt64

  /// The virtual cycles of one tree on average.
  public var cyclesPerTree: Double { Double(inclusiveCycles) / Double(count) }
}

extension TreeShape {
  /// The shapes of `trees`, by root reason, the most frequent first.
  public static func shapes(of trees: [ExitTree]) -> [TreeShape] {
    var shapes: [String: TreeShape] = [:]
    var totals: [UInt16: Int] = [:]
    for tree in trees {
      let text = tree.text
      var shape =
        shapes[text]
        ?? TreeShape(
          reason: tree.root.reason, text: text, size: tree.size, count: 0, share: 0, inclusiveCycles: 0,
          hostCycles: 0)
      shape.count += 1
      shape.inclusiveCycles &+= tree.inclusiveCycles
      shape.hostCycles &+= tree.hostCycles
      shapes[text] = shape
      totals[tree.root.reason, default: 0] += 1
    }
    return shapes.values
      .map { shape in
        var shape = shape
        shape.share = Double(shape.count) / Double(totals[shape.reason, default: 1])
        return shape
      }
      .sorted { ($0.reason, $1.count, $0.text) < ($1.reason, $0.count, $1.text) }
  }

  /// The most frequent shape among the trees of `reason`, or nil if there is no such tree.
  public static func modal(_ reason: UInt16, in shapes: [TreeShape]) -> TreeShape? {
    shapes.first { $0.reason == reason }
  }

  /// The shapes as a text to compare and to read: one line each, `count × size: tree`.
  public static func canonicalText(_ shapes: [TreeShape]) -> String {
    shapes.map { "\($0.count) trees of \($0.size) exits: \($0.text)\n" }.joined()
  }
}
