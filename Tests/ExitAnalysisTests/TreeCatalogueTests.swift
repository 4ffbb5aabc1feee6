import CostModel
import ExitAnalysis
import Testing
import Trace
import VMX

@Suite struct TreeCatalogueTests {
  private static let prices = CostTable.reference.prices

  /// A run of trees of several shapes, from a fixed seed, in the order of a log.
  private static func events(_ trees: Int, seed: UInt64, processor: UInt8 = 0) -> [ExitEvent] {
    var state = seed
    func next(_ limit: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % limit
    }
    var events: [ExitEvent] = []
    var now: UInt64 = 0
    func event(_ level: ExitLevel, _ reason: ExitReason, _ route: ExitLevel, tree: UInt64) -> ExitEvent {
      let work = ExitWork(
        vmcsReads: UInt32(next(9)), vmcsWrites: UInt32(next(9)), vmptrlds: reason == .vmresume ? 1 : 0)
      let ran = next(50)
      now += ran
      let start = now
      now += prices.exit(work)
      return ExitEvent(
        from: level, reason: reason.rawValue, routedTo: route, start: start, end: now,
        hostCycles: now - start,
        ranCycles: ran, work: work, tree: tree, processor: processor)
    }
    for number in 0..<UInt64(trees) {
      let tree = number | UInt64(processor) << 48
      if next(5) == 0 { events.append(event(.l2, .eptViolation, .l0, tree: tree)) }
      var root = event(.l2, next(2) == 0 ? .cpuid : .hlt, .l1, tree: tree)
      for _ in 0..<next(4) { events.append(event(.l1, next(3) == 0 ? .vmwrite : .vmread, .l0, tree: tree)) }
      events.append(event(.l1, .vmresume, .l0, tree: tree))
      root.end = now
      events.append(root)
    }
    return events
  }

  private static func catalogue(_ events: [ExitEvent], chosen: Set<UInt64> = []) -> TreeCatalogue {
    var catalogue = TreeCatalogue(prices, chosen: chosen)
    for event in events { catalogue.add(event) }
    return catalogue
  }

  /// The shapes are those that come of all trees kept in memory.
  @Test func shapesAreThoseOfTheTrees() {
    let events = Self.events(500, seed: 1)
    let expected = TreeShape.shapes(of: ExitTree.trees(in: events))
    let shapes = Self.catalogue(events).shapes
    #expect(shapes.count == expected.count)
    #expect(shapes.count > 10)
    for (shape, other) in zip(shapes, expected) {
      #expect(shape.text == other.text)
      #expect(shape.count == UInt64(other.count))
      #expect(shape.size == UInt64(other.size))
      #expect(shape.span.total == other.inclusiveCycles)
      #expect(shape.host.total == other.hostCycles)
      #expect(shape.examples.first?.root.reason == shape.reason)
      #expect(shape.examples.last?.root.span == shape.span.most)
    }
  }

  @Test func thePhasesOfTreesAddUpToTheirSpans() {
    for reason in Self.catalogue(Self.events(300, seed: 2)).reasons {
      #expect(reason.phases.total == reason.span.total)
      #expect(reason.phases[.handlerL1] < reason.span.total / 4)
      #expect(reason.phases[.transform] > 0)
      #expect(reason.spans.total == reason.span.count)
      #expect(reason.sizes.values.reduce(0, +) == reason.exits.count)
    }
  }

  /// Logs of several virtual CPUs come in pieces: the trees do not mix.
  @Test func piecesOfOtherProcessorsDoNotDisturb() {
    let logs = [Self.events(200, seed: 3), Self.events(200, seed: 4, processor: 1)]
    var mixed = TreeCatalogue(Self.prices)
    for start in stride(from: 0, to: logs.map(\.count).max() ?? 0, by: 7) {
      for log in logs { for event in log.dropFirst(start).prefix(7) { mixed.add(event) } }
    }
    let expected = Self.catalogue(logs[0] + logs[1])
    #expect(mixed.shapes.map(\.text) == expected.shapes.map(\.text))
    #expect(mixed.shapes.map(\.span.total) == expected.shapes.map(\.span.total))
  }

  /// So do the sums and the trees kept in memory.
  @Test func totalsOfSeveralProcessorsAreTheirSums() {
    let logs = [Self.events(200, seed: 3), Self.events(200, seed: 4, processor: 1)]
    var mixed: [ExitEvent] = []
    for start in stride(from: 0, to: logs.map(\.count).max() ?? 0, by: 5) {
      for log in logs { mixed += log.dropFirst(start).prefix(5) }
    }
    var totals = TreeTotals()
    var alone = [TreeTotals(), TreeTotals()]
    for event in mixed { totals.add(event) }
    for (number, log) in logs.enumerated() { for event in log { alone[number].add(event) } }
    let sum = alone.reduce(UInt64(0)) { $0 + $1.multiplication.hardwareExits }
    #expect(totals.multiplication.l2Exits == 400)
    #expect(totals.multiplication.hardwareExits == sum)
    #expect(totals.reasons.reduce(0) { $0 + $1.exits.total } == sum)
    let trees = ExitTree.trees(in: mixed)
    #expect(trees.reduce(0) { $0 + UInt64($1.size) } == sum)
    #expect(trees.allSatisfy { tree in tree.children.allSatisfy { $0.processor == tree.root.processor } })
  }

  @Test func aTreeWithSnapshotsIsTheTypicalOne() {
    let events = Self.events(100, seed: 5)
    let roots = events.filter(\.isTreeRoot)
    let plain = Self.catalogue(events)
    guard let shape = plain.shapes.first(where: { $0.count > 5 }), let first = shape.examples.first else {
      Issue.record("no shape is frequent")
      return
    }
    // Another tree of the same shape is recorded.
    let trees = ExitTree.trees(in: events)
    let later = trees.last { $0.text == shape.text && $0.root.tree != first.root.tree }
    var catalogue = TreeCatalogue(Self.prices)
    catalogue.noteSnapshots(of: later?.root.tree ?? 0)
    for event in events { catalogue.add(event) }
    let found = catalogue.shapes.first { $0.text == shape.text }
    #expect(found?.examples.first?.root == later?.root)
    #expect(roots.count == 100)
  }

  @Test func aChosenTreeIsKept() {
    let events = Self.events(100, seed: 6)
    let catalogue = Self.catalogue(events, chosen: [57, 1_000])
    #expect(catalogue.chosenExamples.map(\.root.tree) == [57])
    let tree = ExitTree.trees(in: events).first { $0.root.tree == 57 }
    #expect(catalogue.chosenExamples.first?.children == tree?.children)
  }

  @Test func memoryIsBoundedWhateverTheTrees() {
    var catalogue = TreeCatalogue(Self.prices)
    for number in 0..<UInt64(TreeCatalogue.shapeLimit + 100) {
      for _ in 0...number { catalogue.add(ExitEvent(from: .l1, reason: 23, start: 0, tree: number)) }
      catalogue.add(ExitEvent(from: .l2, reason: 10, routedTo: .l1, start: 0, tree: number))
    }
    #expect(catalogue.shapes.count == TreeCatalogue.shapeLimit)
    #expect(catalogue.others == 100)
    let longest = catalogue.shapes.map { $0.examples[0] }.max { $0.size < $1.size }
    #expect(longest?.children.count == TreeCatalogue.memberLimit)
    #expect(longest.map { UInt64($0.children.count) + $0.omitted + 1 } == longest?.size)
  }
}

@Suite struct LogHistogramTests {
  @Test func everyNumberIsInItsClass() {
    for shift in 0..<64 {
      for offset: UInt64 in [0, 1, 2, 3, 5] {
        let value = (UInt64(1) << UInt64(shift)) &+ offset
        var histogram = LogHistogram()
        histogram.add(value)
        let row = histogram.classes[0]
        #expect(histogram.classes.count == 1)
        #expect(row.lower <= value && (value < row.upper || row.upper == .max))
        #expect(row.upper == .max || row.upper - row.lower <= max(1, row.lower / 4))
      }
    }
  }

  @Test func quantilesCoverTheirShare() {
    var histogram = LogHistogram()
    for value in 1...1000 { histogram.add(UInt64(value)) }
    #expect((500...639).contains(histogram.quantile(0.5)))
    #expect((990...1279).contains(histogram.quantile(0.99)))
    #expect(histogram.total == 1000)
    #expect(LogHistogram().quantile(0.5) == 0)
  }
}
