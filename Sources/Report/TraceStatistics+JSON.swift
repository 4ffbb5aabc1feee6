import CostModel
import ExitAnalysis
import Trace
import VMX

// What `testudo stat` prints for programs.
extension TraceStatistics {
  /// Everything as one JSON object; times are in virtual cycles.
  public var json: JSONValue {
    [
      "schema": .string(Self.schema),
      "description": .object(description.entries.map { .init($0.key, .string($0.value)) }),
      "complete": .bool(isComplete), "events": .unsigned(statistics.count),
      "exits": .array([ExitLevel.l2, .l1].flatMap { statistics.rows(of: $0) }.map(Self.json)),
      "multiplication": ExitTable.json(multiplication),
      "treeSizes": .array(
        trees.sizes.map { ["exits": .string($0.size), "trees": .unsigned($0.count)] }),
      "virtualCycles": .unsigned(phases.total),
      "costTable": .string(costTable),
      "prices": .object(
        CostItem.allCases.map {
          .init(
            $0.rawValue, ["count": .unsigned(work[$0]), "price": .unsigned(prices.cycles($0))])
        }),
      "perL2Exit": perL2Exit,
      "reasons": .array(trees.reasons.map(Self.json)),
      "phases": Self.json(phases),
      "processors": .array(phases.processors.map(Self.json)),
      "pageWalks": .array([walks(.l2, misses.l2), walks(.l1, misses.l1)]),
      "sensitivity": sensitivity.json,
      "fields": .array(
        fields.rows.map {
          ["field": .string(Self.name($0)), "reads": .unsigned($0.reads), "writes": .unsigned($0.writes)]
        }),
    ]
  }

  private static func json(_ phases: PhaseBreakdown) -> JSONValue {
    .object(Phase.allCases.map { .init("\($0.key)", .unsigned(phases[$0])) })
  }

  static func json(_ phases: TreePhases) -> JSONValue {
    .object(Phase.allCases.map { .init("\($0.key)", .unsigned(phases[$0])) })
  }

  private static func json(_ row: TreeTotals.Reason) -> JSONValue {
    [
      "reason": .string("\(ExitReason(rawValue: row.reason)?.name ?? "UNKNOWN")"),
      "trees": .unsigned(row.exits.count), "hardwareExits": .unsigned(row.exits.total),
      "leastExits": .unsigned(row.exits.least), "mostExits": .unsigned(row.exits.most),
      "cycles": .unsigned(row.span.total), "leastCycles": .unsigned(row.span.least),
      "mostCycles": .unsigned(row.span.most),
    ]
  }

  /// The sums over all L2 exits that L1 handled, whose arithmetic is exact: divide by `trees`.
  private var perL2Exit: JSONValue {
    [
      "trees": .unsigned(treeWork.trees), "cycles": .unsigned(treeWork.span),
      "counts": .object(CostItem.allCases.map { .init($0.rawValue, .unsigned(treeWork.work[$0])) }),
      "instructionsAndIdle": .unsigned(treeWork.rest(prices)),
    ]
  }

  private func walks(_ level: ExitLevel, _ sum: WalkSum) -> JSONValue {
    let counts = pageWalks?[level]
    return [
      "level": .string("\(level.name)"), "walks": .unsigned(counts?.walks ?? sum.misses),
      "references": .unsigned(counts?.references ?? sum.references),
      "guestReferences": counts.map { .unsigned($0.guestReferences) } ?? .null,
      "eptReferences": counts.map { .unsigned($0.eptReferences) } ?? .null,
      "byReferences": counts.map { .array($0.byReferences.map(JSONValue.unsigned)) } ?? .null,
    ]
  }

  var isComplete: Bool {
    guard case .complete = ending else { return false }
    return true
  }

  private static func json(_ row: ExitStatistics.Row) -> JSONValue {
    [
      "from": .string("\(row.key.from.name)"),
      "reason": .string("\(ExitReason(rawValue: row.key.reason)?.name ?? "UNKNOWN")"),
      "routedTo": .string("\(row.key.routedTo.name)"), "count": .unsigned(row.count),
      "unfinished": .unsigned(row.unfinished), "spanCycles": .unsigned(row.span.total),
      "leastCycles": .unsigned(row.span.least), "mostCycles": .unsigned(row.span.most),
      "meanCycles": .number(row.span.mean), "hostCycles": .unsigned(row.host.total),
    ]
  }
}
