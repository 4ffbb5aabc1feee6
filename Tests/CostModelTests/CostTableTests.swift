import CostModel
import Testing
import Trace

@Suite struct CostTableTests {
  /// Landau et al., SplitX, WIOV 2011: the direct cost of one exit, to the guest and back, is about 2,000 cycles.
  @Test func theReferenceExitAndEntryAddUpToThePublishedFigure() {
    let prices = CostTable.reference.prices
    #expect(prices.vmExit + prices.vmEntry == 2_000)
  }

  @Test func everyFigureOfTheReferenceNamesItsSource() {
    let table = CostTable.reference
    #expect(table.figures.map(\.item) == CostItem.allCases)
    for figure in table.figures {
      #expect(!figure.source.isEmpty)
      let claimsNoSource = figure.source.hasPrefix("no printed source")
      #expect((figure.certainty == .assumed) == claimsNoSource, "\(figure.item)")
    }
  }

  @Test func aTableNeedsEachFigureOnce() throws {
    let figures = CostItem.allCases.map { CostFigure($0, cycles: 1, source: "a test", certainty: .assumed) }
    let table = try CostTable(name: "t", summary: "", frequency: 1, figures: figures.reversed())
    #expect(table.figures == figures)
    #expect(throws: CostTableError.missing(.vmread)) {
      try CostTable(
        name: "t", summary: "", frequency: 1, figures: figures.filter { $0.item != .vmread })
    }
    #expect(throws: CostTableError.duplicate(.vmExit)) {
      try CostTable(name: "t", summary: "", frequency: 1, figures: figures + [figures[0]])
    }
    #expect(throws: CostTableError.tooLarge(.invept, .max)) {
      let huge = CostFigure(.invept, cycles: .max, source: "a test", certainty: .assumed)
      return try CostTable(
        name: "t", summary: "", frequency: 1, figures: figures.filter { $0.item != .invept } + [huge])
    }
  }

  @Test func eachPriceIsItsFigures() throws {
    let figures = CostItem.allCases.enumerated().map { index, item in
      CostFigure(item, cycles: UInt64(index) + 100, source: "a test", certainty: .assumed)
    }
    let prices = try CostTable(name: "t", summary: "", frequency: 1, figures: figures).prices
    let priced = [
      prices.vmExit, prices.vmEntry, prices.vmread, prices.vmwrite, prices.vmptrld, prices.invept,
      prices.invvpid, prices.pageWalkReference, prices.memoryAccess, prices.handlerBase,
    ]
    #expect(priced == figures.map(\.cycles))
    #expect(
      prices.handler(
        ExitWork(vmcsReads: 2, vmcsWrites: 3, memoryAccesses: 5, vmptrlds: 7, invepts: 11, invvpids: 13))
        == 2 * 102 + 3 * 103 + 5 * 108 + 7 * 104 + 11 * 105 + 13 * 106)
    #expect(prices.exit(ExitWork()) == 100 + 101 + 109)
  }
}
