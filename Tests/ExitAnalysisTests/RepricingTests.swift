import CostModel
import ExitAnalysis
import Testing
import Trace
import VMX

@Suite struct RepricingTests {
  private static let old = CostTable.reference.prices
  private static let new = CostPrices { item in
    UInt64(CostItem.allCases.firstIndex(of: item) ?? 0) * 100 + 7
  }

  /// The same run under `prices`: L1 runs 100 cycles and makes two accesses of its own before VMLAUNCH, L2 runs 40 and
  /// waits 300 in an exit that L0 keeps, L2 runs 50 to one that L1 handles.
  private static func run(_ prices: CostPrices) -> (events: [ExitEvent], end: UInt64) {
    var now: UInt64 = 0
    func exit(
      _ reason: ExitReason, _ level: ExitLevel, after cycles: UInt64, _ work: ExitWork, wait: UInt64 = 0,
      to route: ExitLevel = .l0, tree: UInt64 = ExitEvent.noTree
    ) -> ExitEvent {
      let ran = cycles + prices.guestWork(work, areMemoryAccesses: false)
      let start = now + ran
      let host = prices.exit(work)
      now = start + host + wait
      return ExitEvent(
        from: level, reason: reason.rawValue, routedTo: route, start: start, end: now, hostCycles: host,
        ranCycles: ran, waitedCycles: wait, work: work,
        tree: tree)
    }
    let launch = exit(
      .vmlaunch, .l1, after: 100, ExitWork(vmcsReads: 3, vmptrlds: 1, guestReads: 1, guestWrites: 1))
    let kept = exit(
      .hlt, .l2, after: 40, ExitWork(memoryAccesses: 4, tlbMisses: 2, walkReferences: 38), wait: 300)
    var root = exit(.cpuid, .l2, after: 50, ExitWork(vmcsWrites: 9, vmptrlds: 1), to: .l1, tree: 1)
    let inner = exit(.invept, .l1, after: 30, ExitWork(invepts: 2, invvpids: 1), tree: 1)
    let resume = exit(.vmresume, .l1, after: 20, ExitWork(vmptrlds: 1, guestReads: 5), tree: 1)
    root.end = now
    return ([launch, kept, inner, resume, root], now + 60)
  }

  @Test func aTraceUnderOtherPricesIsTheTraceOfARunUnderThem() {
    let recorded = Self.run(Self.old)
    var repricing = Repricing(from: Self.old, to: Self.new, areMemoryAccesses: false)
    var events: [ExitEvent] = []
    for event in recorded.events { repricing.add(event) { events.append($0) } }
    let end = repricing.finish(at: recorded.end) { events.append($0) }
    let expected = Self.run(Self.new)
    #expect(events == expected.events)
    #expect(end == expected.end)
  }

  @Test func theSamePricesChangeNothing() {
    let recorded = Self.run(Self.old)
    var repricing = Repricing(from: Self.old, to: Self.old, areMemoryAccesses: false)
    var events: [ExitEvent] = []
    for event in recorded.events { repricing.add(event) { events.append($0) } }
    #expect(repricing.finish(at: recorded.end) { events.append($0) } == recorded.end)
    #expect(events == recorded.events)
  }

  /// What each item is paid for, times its price, is what L0 and L1's accesses took.
  @Test func workByItemAddsUp() {
    let run = Self.run(Self.new)
    var work = WorkByItem(areMemoryAccesses: false)
    for event in run.events { work.add(event) }
    let priced = CostItem.allCases.reduce(UInt64(0)) { $0 + work[$1] * Self.new.cycles($1) }
    let host = run.events.reduce(UInt64(0)) { $0 + $1.hostCycles }
    let accesses = run.events.reduce(UInt64(0)) {
      $0 + Self.new.guestWork($1.work, areMemoryAccesses: false)
    }
    #expect(priced == host + accesses)
    #expect(work[.vmExit] == 5)
    #expect(work[.vmread] == 3 + 6)
    #expect(work[.invept] == 2)
    #expect(work[.pageWalkReference] == 38)
  }

  /// A tree whose root never comes, as when a trace is cut, is told all the same.
  @Test func membersWithoutARootAreTold() {
    let events = Array(Self.run(Self.old).events.prefix(4))
    var repricing = Repricing(from: Self.old, to: Self.new, areMemoryAccesses: false)
    var told = 0
    for event in events { repricing.add(event) { _ in told += 1 } }
    _ = repricing.finish(at: 1) { _ in told += 1 }
    #expect(told == 4)
  }

  /// What an L2 exit that L1 handles is paid for, and what L1 ran and waited, is all that it took.
  @Test func theWorkOfTreesAddsUp() {
    var work = TreeWork(areMemoryAccesses: false)
    for event in Self.run(Self.new).events { work.add(event) }
    #expect(work.trees == 1)
    #expect(work.work[.vmExit] == 3)
    #expect(work.work[.vmread] == 5)
    #expect(work.rest(Self.new) == 30 + 20)
    #expect(work.work.cycles(Self.new) + work.rest(Self.new) == work.span)
  }

  /// Of two virtual CPUs whose logs come in pieces, each is told as if it were alone.
  @Test func piecesOfOtherProcessorsDoNotDisturb() {
    let recorded = Self.run(Self.old)
    let expected = Self.run(Self.new).events
    var repricing = Repricing(from: Self.old, to: Self.new, areMemoryAccesses: false)
    var told: [[ExitEvent]] = [[], []]
    for event in recorded.events {
      for processor: UInt8 in [0, 1] {
        var event = event
        event.processor = processor
        repricing.add(event) { told[Int($0.processor)].append($0) }
      }
    }
    _ = repricing.finish(at: recorded.end) { told[Int($0.processor)].append($0) }
    #expect(told[0] == expected)
    #expect(told[1].map(\.end) == expected.map(\.end))
  }
}
