import NestedVMX
import VMX

/// The merge of two VMCS dumps into vmcs02, with the rule and the provenance of each field and control.
public struct MergeTable {
  /// The version of the JSON object.
  public static let schema = "testudo.vmcs-merge/1"

  /// One field of vmcs02.
  public struct Row: Sendable {
    public let field: VMCSField
    public let rule: MergeRule
    public let vmcs01: UInt64
    public let vmcs12: UInt64
    /// The result; where ``isKnown`` is false, without what L0 prepared.
    public let vmcs02: UInt64
    public let isKnown: Bool
    /// The bits that are 1 in any of the three, by who decided them.
    public let origins: [(origin: MergeOrigin, bits: UInt64)]

    /// The word of controls that the field is, if it is one that vmcs02 has.
    public var controls: ControlWordKind? {
      if case .controls(let kind) = rule { kind } else { nil }
    }

    var isAbsent: Bool { if case .absent = rule { true } else { false } }
  }

  /// A row per field of the SDM, in the order of the encodings.
  public let rows: [Row]

  /// The merge for `processor`. Without ``VMCSDump/prepared`` in `vmcs01`, the fields that L0 prepares are unknown.
  public init(vmcs01: VMCSDump, vmcs12: VMCSDump, processor: VMXCapabilities) {
    let isPrepared = vmcs01.prepared != nil
    let context = (vmcs01.prepared ?? PreparedFields()).context(for: processor)
    rows = VMCSDump(kind: .vmcs02).withVMCS { result in
      vmcs01.withVMCS { first in
        vmcs12.withVMCS { second in
          var work = WorkCounters()
          Merge.merge(vmcs01: first, vmcs12: second, into: result, context: context, counting: &work)
          return VMCSField.allInOrder.map { field in
            Row(field, first, second, result, isKnown: isPrepared || !PreparedFields.contains(field))
          }
        }
      }
    }
  }

  // MARK: For people

  /// The fields that are not 0 everywhere, then each control that somebody has; or all, reserved bits too.
  public func text(all: Bool = false) -> String {
    let shown = rows.filter { all || !$0.isAbsent && !$0.isZero }
    var table = TextTable(columns: [
      .init("field"), .init("rule"), .init("vmcs01", .right), .init("vmcs12", .right),
      .init("vmcs02", .right), .init("decided by"),
    ])
    for row in shown {
      table.append([
        "\(row.field.name)", "\(row.rule.name)", hexadecimal(row.vmcs01), hexadecimal(row.vmcs12),
        row.resultText, row.originText,
      ])
    }
    var text = table.rendered()
    for row in shown {
      guard let kind = row.controls else { continue }
      let bits = row.bits.filter { all || kind.name(ofBit: $0) != nil || !row.agrees(on: $0) }
      guard !bits.isEmpty else { continue }
      text += "\n\(row.field.name)\n\n" + Self.controlTable(row, kind, bits).rendered()
    }
    if rows.contains(where: { !$0.isKnown }) {
      text +=
        "\n?: L0 prepares this (such as bitmaps and the composed EPT); the dump of vmcs01 does not tell.\n"
    }
    return text
  }

  private static func controlTable(_ row: Row, _ kind: ControlWordKind, _ bits: [UInt8]) -> TextTable {
    var table = TextTable(columns: [
      .init("bit", .right), .init("control"), .init("vmcs01"), .init("vmcs12"), .init("vmcs02"),
      .init("decided by"),
    ])
    for bit in bits {
      let isOpen = !row.isKnown && row.origin(of: bit) == .derived
      table.append([
        "\(bit)", FieldDecoding.name(of: kind, bit: bit), "\(row.vmcs01 >> UInt64(bit) & 1)",
        "\(row.vmcs12 >> UInt64(bit) & 1)", isOpen ? "?" : "\(row.vmcs02 >> UInt64(bit) & 1)",
        "\(row.origin(of: bit).name)",
      ])
    }
    return table
  }

  // MARK: For programs

  public var json: JSONValue {
    ["schema": .string(Self.schema), "fields": .array(rows.map(\.json))]
  }
}

extension MergeTable.Row {
  init(_ field: VMCSField, _ vmcs01: VMCS, _ vmcs12: VMCS, _ vmcs02: VMCS, isKnown: Bool) {
    self.field = field
    self.isKnown = isKnown
    rule = MergeRow.rule(for: field)
    self.vmcs01 = vmcs01[field]
    self.vmcs12 = vmcs12[field]
    self.vmcs02 = vmcs02[field]
    var origins: [(origin: MergeOrigin, bits: UInt64)] = []
    let present = vmcs01[field] | vmcs12[field] | vmcs02[field]
    for bit in UInt8(0)..<64 where present >> UInt64(bit) & 1 != 0 {
      let provenance = Merge.provenance(
        of: field, bit: bit, vmcs01: vmcs01, vmcs12: vmcs12, vmcs02: vmcs02)
      if let position = origins.firstIndex(where: { $0.origin == provenance.origin }) {
        origins[position].bits |= 1 << UInt64(bit)
      } else {
        origins.append((provenance.origin, 1 << UInt64(bit)))
      }
    }
    self.origins = origins
  }

  var isZero: Bool { vmcs01 | vmcs12 | vmcs02 == 0 && isKnown }

  /// The bits that are 1 in any of the three.
  var bits: [UInt8] { (UInt8(0)..<64).filter { (vmcs01 | vmcs12 | vmcs02) >> UInt64($0) & 1 != 0 } }

  /// Whether a bit is the same in all three.
  func agrees(on bit: UInt8) -> Bool {
    ((vmcs01 ^ vmcs12) | (vmcs01 ^ vmcs02)) >> UInt64(bit) & 1 == 0
  }

  func origin(of bit: UInt8) -> MergeOrigin {
    origins.first { $0.bits >> UInt64(bit) & 1 != 0 }?.origin ?? .none
  }

  var resultText: String {
    if isAbsent { return "" }
    guard !isKnown else { return hexadecimal(vmcs02) }
    return controls == nil ? "?" : hexadecimal(vmcs02) + " ?"
  }

  /// Who decided the value: one name, or one name for each group of bits.
  var originText: String {
    guard controls == nil else { return "see below" }
    guard origins.count > 1 else { return origins.first.map { "\($0.origin.name)" } ?? "" }
    return origins.map { "\($0.origin.name): \(hexadecimal($0.bits))" }.joined(separator: ", ")
  }

  var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("field", .string("\(field.name)")), .init("rule", .string("\(rule.name)")),
      .init("vmcs01", .string(hexadecimal(vmcs01))), .init("vmcs12", .string(hexadecimal(vmcs12))),
      .init("vmcs02", isAbsent || !isKnown && controls == nil ? .null : .string(hexadecimal(vmcs02))),
      .init("known", .bool(isKnown)),
      .init(
        "origins",
        .object(origins.map { .init("\($0.origin.name)", .string(hexadecimal($0.bits))) })),
    ]
    if let controls { members.append(.init("controls", .array(bits.map { json(of: $0, controls) }))) }
    return .object(members)
  }

  private func json(of bit: UInt8, _ kind: ControlWordKind) -> JSONValue {
    [
      "bit": .unsigned(UInt64(bit)), "control": .string(FieldDecoding.name(of: kind, bit: bit)),
      "vmcs01": .bool(vmcs01 >> UInt64(bit) & 1 != 0), "vmcs12": .bool(vmcs12 >> UInt64(bit) & 1 != 0),
      "vmcs02": .bool(vmcs02 >> UInt64(bit) & 1 != 0), "origin": .string("\(origin(of: bit).name)"),
    ]
  }
}
