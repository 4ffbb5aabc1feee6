import Report
import Testing

@Suite struct CSVTableTests {
  static let table = CSVTable(
    header: ["name", "note"],
    rows: [["a", "plain"], ["b", "with, comma"], ["c", "with \"quotes\"\nand lines"]])

  @Test func textReadsBack() {
    #expect(CSVTable(text: Self.table.text) == Self.table)
  }

  @Test func cellsAreQuotedOnlyWhereNeeded() {
    #expect(Self.table.text.hasPrefix("name,note\na,plain\nb,\"with, comma\"\nc,\"with \"\"quotes\"\"\n"))
  }

  @Test func carriageReturnsAreTolerated() {
    #expect(CSVTable(text: "x,y\r\n1,2\r\n") == CSVTable(header: ["x", "y"], rows: [["1", "2"]]))
  }

  @Test func openQuotationIsRefused() {
    #expect(CSVTable(text: "x\n\"open") == nil)
    #expect(CSVTable(text: "") == nil)
  }

  @Test func differencesNameRowAndColumn() {
    var other = Self.table
    #expect(other.differences(from: Self.table) == [])
    other.rows[1][1] = "else"
    #expect(other.differences(from: Self.table) == ["row 2, note: else, recorded is with, comma"])
    other.rows.removeLast()
    #expect(other.differences(from: Self.table).last == "row 3 is recorded but was not measured")
    other.header = ["name"]
    #expect(other.differences(from: Self.table).count == 1)
  }
}
