import Foundation
import Report
import Testing

@Suite struct BarChartTests {
  static let chart = BarChart(
    title: "a < b & c", valueAxis: "exits", groups: ["cpuid", "io"],
    series: [.init(name: "off", values: [13, 14.5]), .init(name: "hardware", values: [4, 0])])

  @Test func chartIsWellFormedXML() {
    let parser = XMLTester(Self.chart.svg())
    #expect(parser.isWellFormed)
    // The paper, two keys of the legend, and a bar for each value.
    #expect(parser.count(of: "rect") == 1 + 2 + 4)
    #expect(parser.text.contains("a < b & c"))
    #expect(parser.text.contains("14.50"))
  }

  @Test func equalChartsAreEqualBytes() {
    #expect(Self.chart.svg() == Self.chart.svg())
  }

  @Test func emptyAndOddChartsAreDrawn() {
    for values in [[], [0], [.infinity], [-1], [1e12]] as [[Double]] {
      let chart = BarChart(
        title: "", valueAxis: "", groups: ["x"], series: [.init(name: "s", values: values)])
      #expect(XMLTester(chart.svg()).isWellFormed)
    }
  }
}

/// Counts the elements of an XML text with a stack of its own, for lack of a parser in Foundation's core.
private struct XMLTester {
  private(set) var isWellFormed: Bool
  private var names: [String: Int] = [:]
  private(set) var text = ""

  init(_ xml: String) {
    var open: [Substring] = []
    var isBalanced = true
    for piece in xml.split(separator: "<", omittingEmptySubsequences: true) where piece.contains(">") {
      let tag = piece.prefix { $0 != ">" }
      let name = tag.prefix { !$0.isWhitespace && $0 != "/" }
      if tag.hasPrefix("/") {
        isBalanced = isBalanced && open.popLast() == tag.dropFirst()
      } else {
        names[String(name), default: 0] += 1
        if !tag.hasSuffix("/") { open.append(name) }
      }
      text += piece.dropFirst(tag.count + 1)
    }
    for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")] {
      text = text.replacing(entity, with: character)
    }
    isWellFormed = isBalanced && open.isEmpty && !names.isEmpty
  }

  func count(of name: String) -> Int { names[name] ?? 0 }
}
