/// A table of comma-separated values (RFC 4180, but with line feeds alone between the records).
public struct CSVTable: Equatable, Sendable {
  public var header: [String]
  public var rows: [[String]]

  public init(header: [String], rows: [[String]] = []) {
    self.header = header
    self.rows = rows
  }

  /// The text of the table, header first, each record ended by a line feed.
  public var text: String {
    ([header] + rows).map { $0.map(Self.quoted).joined(separator: ",") + "\n" }.joined()
  }

  private static func quoted(_ cell: String) -> String {
    guard cell.contains(where: { ",\"\n\r".contains($0) }) else { return cell }
    return "\"" + cell.replacing("\"", with: "\"\"") + "\""
  }

  /// Reads a table back, or returns nil if a quotation mark is left open or there is no header.
  public init?(text: String) {
    var records: [[String]] = []
    var record: [String] = []
    var cell = ""
    var isQuoted = false
    let characters = Array(text.unicodeScalars)
    var index = 0
    while index < characters.count {
      let scalar = characters[index]
      let isDoubled =
        isQuoted && scalar == "\"" && index + 1 < characters.count && characters[index + 1] == "\""
      switch scalar {
      case _ where isDoubled:
        cell += "\""
        index += 1
      case "\"": isQuoted.toggle()
      case "," where !isQuoted:
        record.append(cell)
        cell = ""
      case "\n" where !isQuoted:
        records.append(record + [cell])
        record = []
        cell = ""
      case "\r" where !isQuoted: break
      default: cell.unicodeScalars.append(scalar)
      }
      index += 1
    }
    if !cell.isEmpty || !record.isEmpty { records.append(record + [cell]) }
    guard !isQuoted, let header = records.first else { return nil }
    self.init(header: header, rows: Array(records.dropFirst()))
  }

  /// Where this table differs from `recorded`, one sentence per row or column; nothing if they are equal.
  public func differences(from recorded: CSVTable) -> [String] {
    guard header == recorded.header else {
      return [
        "the columns are \(header.joined(separator: ",")), recorded are \(recorded.header.joined(separator: ","))"
      ]
    }
    var found: [String] = []
    for index in 0..<max(rows.count, recorded.rows.count) {
      guard index < rows.count else {
        found.append("row \(index + 1) is recorded but was not measured")
        continue
      }
      guard index < recorded.rows.count else {
        found.append("row \(index + 1) was measured but is not recorded")
        continue
      }
      for (column, name) in header.enumerated() {
        let (new, old) = (Self.cell(rows[index], column), Self.cell(recorded.rows[index], column))
        if new != old { found.append("row \(index + 1), \(name): \(new), recorded is \(old)") }
      }
    }
    return found
  }

  private static func cell(_ row: [String], _ column: Int) -> String { column < row.count ? row[column] : "" }
}
