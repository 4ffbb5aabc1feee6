import ExitAnalysis
import Trace
import VMX

// What `testudo report --json` prints.
extension RunStudy {
  /// The version of the JSON object.
  public static let schema = "testudo.study/1"

  /// What `testudo stat --json` says, and what only a report gathers.
  public func json() -> JSONValue {
    [
      "schema": .string(Self.schema), "statistics": statistics.json,
      "reasons": .array(catalogue.reasons.map(Self.json)), "shapes": .array(catalogue.shapes.map(Self.json)),
      "eptViolations": .array(violations.rows.map(Self.json)),
      "subjects": .array(operands.rows.map { Self.json($0.key, $0.count) }),
      "otherSubjects": .unsigned(operands.others), "merge": merge,
    ]
  }

  private static func name(_ reason: UInt16) -> JSONValue {
    .string("\(ExitReason(rawValue: reason)?.name ?? "UNKNOWN")")
  }

  private static func json(_ reason: CataloguedReason) -> JSONValue {
    [
      "reason": name(reason.reason), "trees": .unsigned(reason.exits.count),
      "hardwareExits": .unsigned(reason.exits.total), "cycles": .unsigned(reason.span.total),
      "sizes": .array(
        reason.sizes.sorted { $0.key < $1.key }.map {
          ["exits": .unsigned($0.key), "trees": .unsigned($0.value)]
        }),
      "spans": .array(
        reason.spans.classes.map {
          ["from": .unsigned($0.lower), "to": .unsigned($0.upper &- 1), "trees": .unsigned($0.count)]
        }),
      "phases": TraceStatistics.json(reason.phases),
    ]
  }

  private static func json(_ shape: CataloguedShape) -> JSONValue {
    [
      "reason": name(shape.reason), "exits": .string(shape.text), "hardwareExits": .unsigned(shape.size),
      "trees": .unsigned(shape.count), "cycles": .unsigned(shape.span.total),
      "hostCycles": .unsigned(shape.host.total), "leastCycles": .unsigned(shape.span.least),
      "mostCycles": .unsigned(shape.span.most),
    ]
  }

  private static func json(_ row: EPTViolations.Row) -> JSONValue {
    [
      "routedTo": .string("\(row.routedTo.name)"), "access": .unsigned(row.access.rawValue),
      "allowed": .unsigned(row.allowed.rawValue >> 3), "isFinal": .bool(row.isFinal),
      "count": .unsigned(row.count),
    ]
  }

  private static func json(_ key: OperandCounts.Key, _ count: UInt64) -> JSONValue {
    [
      "from": .string("\(key.from.name)"), "reason": name(key.reason),
      "routedTo": .string("\(key.routedTo.name)"), "operand": .string(hexadecimal(key.operand)),
      "count": .unsigned(count),
    ]
  }

  /// By rule, for the VM entries whose VMCSs were recorded.
  private var merge: JSONValue {
    let counts = MergeCounts(snapshots.sorted { $0.key < $1.key }.map(\.value))
    return [
      "entries": .unsigned(UInt64(counts.entries)),
      "rules": .array(
        counts.rows.map {
          [
            "rule": .string($0.rule), "fields": .unsigned(UInt64($0.fields)), "used": .number($0.used),
            "changed": .number($0.changed),
          ]
        }),
    ]
  }
}
