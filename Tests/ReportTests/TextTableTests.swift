import Report
import Testing

@Suite struct TextTableTests {
  private static func sample() -> TextTable {
    var table = TextTable(columns: [.init("reason"), .init("count", .right)])
    table.append(["CPUID", "1000"])
    table.append(["HLT", "7", "surplus"])
    table.setTotals(["total"])
    return table
  }

  @Test func columnsAreAligned() {
    #expect(
      Self.sample().rendered() == """
        reason  count
        ──────  ─────
        CPUID    1000
        HLT         7
        ──────  ─────
        total

        """)
  }

  @Test func markdownKeepsAlignment() {
    let lines = Self.sample().markdown().split(separator: "\n")
    #expect(lines[0] == "| reason | count |")
    #expect(lines[1] == "| --- | ---: |")
    #expect(lines.last == "| total |  |")
  }
}
