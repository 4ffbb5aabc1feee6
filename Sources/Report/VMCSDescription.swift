import VMX
import X86

/// A VMCS dump for people: its fields by area, each with what its value means.
public struct VMCSDescription {
  let dump: VMCSDump
  let showsZeros: Bool

  /// The description of `dump`, of its fields that are not 0 or of all.
  public init(_ dump: VMCSDump, showsZeros: Bool = false) {
    self.dump = dump
    self.showsZeros = showsZeros
  }

  public func text() -> String {
    var text = heading + "\n"
    let segments = segmentTable
    if !segments.rows.isEmpty { text += "\nGuest segment registers\n\n" + segments.rendered() }
    for (area, title) in Self.areas {
      let fields = dump.fields.filter { $0.area == area && isShown($0) }
      if !fields.isEmpty { text += "\n\(title)\n\n" + table(fields).rendered() }
    }
    if !showsZeros { text += "\nFields that are 0 are left out; --all shows them.\n" }
    return text
  }

  private static let areas: [(VMCSField.Area, String)] = [
    (.control, "VM-execution, VM-exit and VM-entry control fields"), (.guestState, "Guest-state area"),
    (.hostState, "Host-state area"), (.readOnlyData, "VM-exit information fields"),
  ]

  private var heading: String {
    let address = dump.address.map { ", at \(hexadecimal($0))" } ?? ""
    return "\(dump.kind.rawValue), revision \(hexadecimal(UInt64(dump.revision & 0x7FFF_FFFF)))\(address), "
      + "launch state \(dump.isLaunched ? "launched" : "clear"), \(dump.fields.count) fields"
  }

  private func isShown(_ field: VMCSField) -> Bool {
    guard GuestSegment(field: field) == nil else { return false }
    return showsZeros || dump[field] != 0
  }

  private var exitReason: ExitReasonField? {
    dump[.exitReason].map { ExitReasonField(rawValue: UInt32(truncatingIfNeeded: $0)) }
  }

  private func table(_ fields: [VMCSField]) -> TextTable {
    var table = TextTable(columns: [.init("field"), .init("value", .right), .init("meaning")])
    for field in fields {
      let value = dump[field] ?? 0
      let lines = FieldDecoding.lines(field, value, reason: exitReason)
      table.append(["\(field.name)", hexadecimal(value), lines.first ?? ""])
      for line in lines.dropFirst() { table.append(["", "", line]) }
    }
    return table
  }

  /// The guest's segment registers, a row each.
  private var segmentTable: TextTable {
    var table = TextTable(columns: [
      .init("register"), .init("selector", .right), .init("base", .right), .init("limit", .right),
      .init("rights", .right), .init("access rights"),
    ])
    for segment in GuestSegment.allCases {
      let fields = [
        segment.selectorField, segment.baseField, segment.limitField, segment.accessRightsField,
      ]
      guard fields.contains(where: { dump[$0] != nil }) else { continue }
      let rights = SegmentAccessRights(
        rawValue: UInt32(truncatingIfNeeded: dump[segment.accessRightsField] ?? 0))
      table.append(
        ["\(segment)".uppercased()] + fields.map { dump[$0].map(hexadecimal) ?? "" }
          + [FieldDecoding.accessRights(rights)])
    }
    return table
  }
}
