import CostModel
import Foundation
import Testing

/// The built-in table and its copy among the experiments' data.
@Suite struct CostTableDataTests {
  /// The values of `key` in the file, in order, without quotation marks: the file keeps to `key: value` lines.
  private func values(_ key: String, in text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      let trimmed = line.drop { $0 == " " || $0 == "-" }
      guard trimmed.hasPrefix("\(key): ") else { return nil }
      return trimmed.dropFirst(key.count + 2).trimmingCharacters(in: CharacterSet(charactersIn: "\""))
    }
  }

  @Test func theReferenceAgreesWithItsData() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(
      contentsOf: root.appending(path: "Experiments/CostTables/reference.yaml"), encoding: .utf8)
    let table = CostTable.reference
    #expect(values("name", in: text) == [table.name])
    #expect(values("summary", in: text) == [table.summary])
    #expect(values("frequency", in: text) == ["\(table.frequency)"])
    #expect(values("item", in: text) == table.figures.map(\.item.rawValue))
    #expect(values("cycles", in: text) == table.figures.map { "\($0.cycles)" })
    #expect(values("certainty", in: text) == table.figures.map(\.certainty.rawValue))
    #expect(values("source", in: text) == table.figures.map(\.source))
  }
}
