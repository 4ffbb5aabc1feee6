import NestedVMX
import Trace
import VMX

/// What the values of VMCS fields mean, each said once for all snapshots of a page.
struct SnapshotWords {
  private var table: [String: [String]] = [:]

  /// Takes note of what `value` of `field` means.
  mutating func add(_ field: VMCSField, _ value: UInt64, reason: ExitReasonField) {
    let key = "\(field.rowIndex):\(hexadecimal(value))"
    guard table[key] == nil, field != .exitQualification else { return }
    let lines = FieldDecoding.lines(field, value, reason: reason)
    if !lines.isEmpty { table[key] = lines }
  }

  var json: JSONValue {
    .object(
      table.sorted { $0.key < $1.key }.map { .init($0.key, .array($0.value.map { .string($0) })) })
  }
}

/// The VMCSs at the steps of a tree as the page shows them, with who decided each field of vmcs02 at the last VM entry.
struct SnapshotData {
  private static var parts: [KeyPath<VMCSSnapshot, VMCSValues>] { [\.vmcs01, \.vmcs12, \.vmcs02] }
  let snapshots: [VMCSSnapshot]

  init(_ snapshots: [VMCSSnapshot]) { self.snapshots = snapshots }

  /// The merge as it stands at the last moment, when L0 has made vmcs02 and is about to enter L2.
  var merge: [MergeTable.Row] {
    guard let last = snapshots.last, last.moment == .handled else { return [] }
    return MergeTable.rows(vmcs01: last.vmcs01, vmcs12: last.vmcs12, vmcs02: last.vmcs02)
  }

  func json(_ words: inout SnapshotWords) -> JSONValue {
    var moments: [JSONValue] = []
    var before = Self.parts.map { _ in VMCSValues() }
    for snapshot in snapshots {
      var changes: [JSONValue] = []
      for (number, part) in Self.parts.enumerated() {
        let values = snapshot[keyPath: part]
        let reason = ExitReasonField(rawValue: UInt32(truncatingIfNeeded: values[.exitReason]))
        for field in values.fields(differingFrom: before[number]) {
          words.add(field, values[field], reason: reason)
          changes.append([
            .unsigned(UInt64(number)), .unsigned(UInt64(field.rowIndex)), .string(hexadecimal(values[field])),
          ])
        }
        before[number] = values
      }
      moments.append([
        .unsigned(UInt64(snapshot.step)), .unsigned(UInt64(snapshot.moment.rawValue)), .array(changes),
      ])
    }
    return ["moments": .array(moments), "merge": .object(merge.compactMap(Self.member))]
  }

  /// Who decided a field that is not 0 everywhere: in one word or by groups of bits, or control by control.
  private static func member(_ row: MergeTable.Row) -> JSONValue.Member? {
    guard !row.isZero, !row.isAbsent else { return nil }
    guard let kind = row.controls else {
      return .init("\(row.field.rowIndex)", .string(row.originText))
    }
    let controls: [JSONValue] = row.bits.map { bit in
      [
        .string(FieldDecoding.name(of: kind, bit: bit)), .unsigned(row.vmcs01 >> UInt64(bit) & 1),
        .unsigned(row.vmcs12 >> UInt64(bit) & 1), .unsigned(row.vmcs02 >> UInt64(bit) & 1),
        .string("\(row.origin(of: bit).name)"), .unsigned(UInt64(bit)),
      ]
    }
    return .init("\(row.field.rowIndex)", .array(controls))
  }

  /// The field table: name, area and rule of each field by its row.
  static var fields: JSONValue {
    .array(
      VMCSField.allInOrder.map { field in
        [
          .string("\(field.name)"), .unsigned(UInt64(field.area.rawValue)),
          .string("\(MergeRow.rule(for: field).name)"),
        ]
      })
  }
}

extension MergeTable {
  /// A row per field of the SDM for three VMCSs of which the third is the merge of the first two.
  static func rows(vmcs01: VMCSValues, vmcs12: VMCSValues, vmcs02: VMCSValues) -> [Row] {
    VMCSDump(vmcs01).withVMCS { first in
      VMCSDump(vmcs12).withVMCS { second in
        VMCSDump(vmcs02).withVMCS { result in
          VMCSField.allInOrder.map { Row($0, first, second, result, isKnown: true) }
        }
      }
    }
  }
}

extension VMCSDump {
  fileprivate init(_ values: VMCSValues) {
    self.init(kind: .vmcs)
    for field in VMCSField.allInOrder { self[field] = values[field] }
  }
}
