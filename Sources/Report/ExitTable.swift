import ExitAnalysis
import Trace

/// The exits of a run as a table for people and as JSON for programs.
public enum ExitTable {
  /// The exits by level, reason and route, with a row of totals.
  public static func table(_ exits: [ExitCount]) -> TextTable {
    var table = TextTable(columns: [
      .init("from"), .init("reason"), .init("routed to"), .init("count", .right), .init("cycles", .right),
    ])
    for exit in exits {
      table.append([
        "\(exit.from.name)", "\(exit.reasonName)", "\(exit.routedTo.name)", grouped(exit.count),
        grouped(exit.cycles),
      ])
    }
    let count = exits.reduce(UInt64(0)) { $0 &+ $1.count }
    let cycles = exits.reduce(UInt64(0)) { $0 &+ $1.cycles }
    table.setTotals(["total", "", "", grouped(count), grouped(cycles)])
    return table
  }

  /// The rows as `{from, reason, routedTo, count, cycles}`.
  public static func json(_ exits: [ExitCount]) -> JSONValue {
    .array(
      exits.map { exit in
        [
          "from": .string("\(exit.from.name)"), "reason": .string("\(exit.reasonName)"),
          "routedTo": .string("\(exit.routedTo.name)"), "count": .unsigned(exit.count),
          "cycles": .unsigned(exit.cycles),
        ]
      })
  }

  /// The multiplication in one sentence for people.
  public static func sentence(_ multiplication: Multiplication) -> String {
    guard multiplication.l2Exits > 0 else {
      return "multiplication: none, for no exit of L2 went to L1 and back"
    }
    return "multiplication: \(grouped(multiplication.l2Exits)) L2 exits handled by L1 took "
      + "\(grouped(multiplication.hardwareExits)) hardware exits, "
      + "\(decimal(multiplication.perL2Exit, places: 2)) per L2 exit"
  }

  /// The multiplication as `{l2Exits, hardwareExits, perL2Exit}`.
  public static func json(_ multiplication: Multiplication) -> JSONValue {
    [
      "l2Exits": .unsigned(multiplication.l2Exits), "hardwareExits": .unsigned(multiplication.hardwareExits),
      "perL2Exit": .number(multiplication.perL2Exit),
    ]
  }
}
