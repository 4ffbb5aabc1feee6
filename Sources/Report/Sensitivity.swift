import CostModel
import ExitAnalysis

/// Which price of a cost table moves a result how far, the one that moves it farthest first.
///
/// Virtual time is linear in each price, as long as no guest or device looks at the clock: a price that is a share *s*
/// of it moves it by a tenth of *s* if it is a tenth more. So shares are what there is to know.
public struct Sensitivity: Sendable {
  public struct Row: Equatable, Sendable {
    public var item: CostItem
    /// The price in cycles, and how sure it is; nil if nobody knows the table.
    public var price: UInt64
    public var certainty: FigureCertainty?
    /// Its part of the whole virtual time, 0 to 1.
    public var share: Double
    /// Its part of the time of L2 exits that L1 handled, 0 to 1, and how often one of them pays it.
    public var shareOfTree: Double
    public var timesPerTree: Double
  }

  public let rows: [Row]

  init(_ statistics: TraceStatistics) {
    let prices = statistics.prices
    let total = Double(max(1, statistics.phases.total))
    let span = Double(max(1, statistics.treeWork.span))
    rows = CostItem.allCases.filter { statistics.work[$0] > 0 }.map { item in
      let price = prices.cycles(item)
      return Row(
        item: item, price: price,
        certainty: statistics.costs?.figures.first { $0.item == item }?.certainty,
        share: Double(statistics.work[item]) * Double(price) / total,
        shareOfTree: Double(statistics.treeWork.work[item]) * Double(price) / span,
        timesPerTree: statistics.treeWork.perTree(item))
    }.sorted { ($1.share, $0.item.rawValue) < ($0.share, $1.item.rawValue) }
  }

  /// A table for people.
  public var table: TextTable {
    var table = TextTable(columns: [
      .init("item"), .init("price", .right), .init("certainty"), .init("10 % more: virtual time", .right),
      .init("an L2 exit", .right), .init("times in an L2 exit", .right),
    ])
    for row in rows {
      table.append([
        row.item.rawValue, grouped(row.price), row.certainty?.rawValue ?? "unknown", Self.tenth(row.share),
        Self.tenth(row.shareOfTree), decimal(row.timesPerTree, places: 2),
      ])
    }
    return table
  }

  private static func tenth(_ share: Double) -> String { "+" + decimal(share * 10, places: 2) + " %" }

  /// The rows for programs.
  var json: JSONValue {
    .array(
      rows.map {
        [
          "item": .string($0.item.rawValue), "price": .unsigned($0.price),
          "certainty": $0.certainty.map { .string($0.rawValue) } ?? .null, "share": .number($0.share),
          "shareOfL2Exit": .number($0.shareOfTree), "timesPerL2Exit": .number($0.timesPerTree),
        ]
      })
  }
}

extension TraceStatistics {
  public var sensitivity: Sensitivity { Sensitivity(self) }
}
