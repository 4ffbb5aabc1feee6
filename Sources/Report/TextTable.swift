/// A table of text for people: columns aligned, a rule under the header, a rule above the totals.
public struct TextTable: Sendable {
  public enum Alignment: Sendable {
    case left
    case right
  }

  public struct Column: Sendable {
    public var title: String
    public var alignment: Alignment

    public init(_ title: String, _ alignment: Alignment = .left) {
      self.title = title
      self.alignment = alignment
    }
  }

  public var columns: [Column]
  public private(set) var rows: [[String]] = []
  public private(set) var totals: [String]?

  public init(columns: [Column]) { self.columns = columns }

  /// Appends a row; missing cells are empty and surplus ones are dropped.
  public mutating func append(_ cells: [String]) { rows.append(fitted(cells)) }

  /// Sets the row of totals under the table.
  public mutating func setTotals(_ cells: [String]) { totals = fitted(cells) }

  private func fitted(_ cells: [String]) -> [String] {
    let kept = cells.prefix(columns.count)
    return kept + Array(repeating: "", count: columns.count - kept.count)
  }

  /// The table as lines of text, without trailing spaces and with a final newline.
  public func rendered() -> String {
    let header = columns.map(\.title)
    let all = [header] + rows + (totals.map { [$0] } ?? [])
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    let rule = widths.map { String(repeating: "─", count: $0) }
    var lines = [header, rule] + rows
    if let totals { lines += [rule, totals] }
    return lines.map { line($0, widths: widths) + "\n" }.joined()
  }

  private func line(_ cells: [String], widths: [Int]) -> String {
    let padded = columns.indices.map { column in
      let space = String(repeating: " ", count: widths[column] - cells[column].count)
      return columns[column].alignment == .left ? cells[column] + space : space + cells[column]
    }
    var text = padded.joined(separator: "  ")
    while text.last == " " { text.removeLast() }
    return text
  }

  /// The same table as GitHub-flavoured Markdown.
  public func markdown() -> String {
    let rule = columns.map { $0.alignment == .left ? "---" : "---:" }
    let lines = [columns.map(\.title), rule] + rows + (totals.map { [$0] } ?? [])
    return lines.map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
  }
}
