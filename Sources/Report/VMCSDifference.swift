import VMX

/// The fields in which two VMCS dumps differ.
public struct VMCSDifference {
  /// The version of the JSON object.
  public static let schema = "testudo.vmcs-diff/1"

  /// A field with its value in each dump, nil where the dump has it not.
  public struct Change: Equatable, Sendable {
    public var field: VMCSField
    public var before: UInt64?
    public var after: UInt64?
  }

  /// The changes in the order of the fields' encodings. A field that one dump lacks and that is 0 in the other is none.
  public let changes: [Change]
  private let reasons: (before: ExitReasonField?, after: ExitReasonField?)

  public init(_ before: VMCSDump, _ after: VMCSDump) {
    changes = VMCSField.allInOrder.filter { (before[$0] ?? 0) != (after[$0] ?? 0) }.map {
      Change(field: $0, before: before[$0], after: after[$0])
    }
    reasons = (Self.reason(before), Self.reason(after))
  }

  private static func reason(_ dump: VMCSDump) -> ExitReasonField? {
    dump[.exitReason].map { ExitReasonField(rawValue: UInt32(truncatingIfNeeded: $0)) }
  }

  /// A row per changed field; of control words, a line per changed control.
  public func table() -> TextTable {
    var table = TextTable(columns: [
      .init("field"), .init("before", .right), .init("after", .right), .init("change"),
    ])
    for change in changes {
      let lines = words(change)
      table.append([
        "\(change.field.name)", change.before.map(hexadecimal) ?? "none",
        change.after.map(hexadecimal) ?? "none", lines.first ?? "",
      ])
      for line in lines.dropFirst() { table.append(["", "", "", line]) }
    }
    return table
  }

  private func words(_ change: Change) -> [String] {
    let (before, after) = (change.before ?? 0, change.after ?? 0)
    if let kind = ControlWordKind.allCases.first(where: { $0.field == change.field }) {
      return FieldDecoding.controls(kind, after & ~before).map { "+ \($0)" }
        + FieldDecoding.controls(kind, before & ~after).map { "- \($0)" }
    }
    let old = FieldDecoding.lines(change.field, before, reason: reasons.before).first ?? ""
    let new = FieldDecoding.lines(change.field, after, reason: reasons.after).first ?? ""
    guard old != new else { return [] }
    return ["\(old.isEmpty ? "nothing" : old) → \(new.isEmpty ? "nothing" : new)"]
  }

  public var json: JSONValue {
    [
      "schema": .string(Self.schema),
      "changes": .array(
        changes.map { change in
          [
            "field": .string("\(change.field.name)"),
            "before": change.before.map { .string(hexadecimal($0)) } ?? .null,
            "after": change.after.map { .string(hexadecimal($0)) } ?? .null,
          ]
        }),
    ]
  }
}
