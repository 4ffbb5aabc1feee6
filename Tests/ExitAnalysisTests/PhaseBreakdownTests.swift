import CostModel
import ExitAnalysis
import Testing
import Trace
import VMX

@Suite struct PhaseBreakdownTests {
  private static let prices = CostTable.reference.prices

  private static func exit(
    _ reason: ExitReason, from level: ExitLevel, at start: UInt64, _ work: ExitWork = ExitWork(),
    to route: ExitLevel = .l0, tree: UInt64 = ExitEvent.noTree, ran: UInt64 = 0, on processor: UInt8 = 0
  ) -> ExitEvent {
    let cycles = prices.exit(work)
    return ExitEvent(
      from: level, reason: reason.rawValue, routedTo: route, start: start, end: start + cycles,
      hostCycles: cycles, ranCycles: ran, work: work, tree: tree, processor: processor)
  }

  /// A run of every kind of time: L1 alone, L2, a tree, an exit that L0 keeps, a wait; told by hand.
  @Test func thePhasesAreThoseOfTheRunAndAddUp() {
    let own = Self.prices
    let transformWork = ExitWork(vmcsReads: 3, vmcsWrites: 5, memoryAccesses: 7, vmptrlds: 1)
    let transform = own.handler(transformWork)
    let switches = own.vmExit + own.vmEntry
    var events: [ExitEvent] = []
    // L1 runs 100 cycles, and enters L2.
    let launch = Self.exit(.vmlaunch, from: .l1, at: 100, transformWork, ran: 100)
    events.append(launch)
    // L2 runs 40 cycles; L0 keeps an EPT violation.
    let kept = Self.exit(.eptViolation, from: .l2, at: launch.end + 40, ExitWork(memoryAccesses: 8), ran: 40)
    events.append(kept)
    // L2 runs 50 cycles; L1 handles a CPUID: 30 cycles, a VMREAD, 20 cycles, VMRESUME.
    var root = Self.exit(.cpuid, from: .l2, at: kept.end + 50, transformWork, to: .l1, tree: 1, ran: 50)
    let vmread = Self.exit(.vmread, from: .l1, at: root.end + 30, tree: 1, ran: 30)
    let resume = Self.exit(.vmresume, from: .l1, at: vmread.end + 20, transformWork, tree: 1, ran: 20)
    root.end = resume.end
    events += [vmread, resume, root]
    // L2 runs 60 cycles and waits 500 in a HLT that L0 keeps.
    var halt = Self.exit(.hlt, from: .l2, at: root.end + 60, ran: 60)
    halt.end += 500
    halt.waitedCycles = 500
    events.append(halt)
    // L2 runs 70 cycles to the end.
    var phases = PhaseBreakdown(own)
    for event in events { phases.add(event) }
    phases.finish(at: halt.end + 70)

    #expect(phases[.l1] == 100)
    #expect(phases[.l2] == 40 + 50 + 60 + 70)
    #expect(phases[.handlerL1] == 30 + 20)
    #expect(phases[.idle] == 500)
    #expect(phases[.transform] == 3 * transform)
    // L2's kept exits, its exit to L1, and the two entries into it from L1.
    #expect(phases[.switchL2] == 2 * switches + own.vmExit + 2 * own.vmEntry)
    #expect(phases[.switchL1] == switches + own.vmEntry + 2 * own.vmExit)
    #expect(phases[.handlerL0] == 6 * own.handlerBase + 8 * own.memoryAccess)
    #expect(phases.total == halt.end + 70)
  }

  @Test func aTreeThatTheEndCutsShortCountsForL1() {
    var root = Self.exit(.cpuid, from: .l2, at: 10, to: .l1, tree: 0, ran: 10)
    root.end += 25
    root.isFinished = false
    var phases = PhaseBreakdown(Self.prices)
    phases.add(root)
    phases.finish(at: root.end)
    #expect(phases[.l2] == 10)
    #expect(phases[.handlerL1] == 25)
    #expect(phases.total == root.end)
  }

  /// Two virtual CPUs take turns, and their logs come one after the other: the times of each are its own, and what an
  /// exit spans of the other's turn is nobody's.
  @Test func eachOfTwoProcessorsHasItsTime() {
    let own = Self.prices
    let turn = own.vmExit + own.vmEntry + own.handlerBase
    // CPU 0 runs 100 in L1 and exits; CPU 1 runs 70 in L2 to an exit that L0 keeps, then CPU 0 goes on for 30; then
    // both wait for 400, and CPU 1 is woken and runs 55 to the end.
    var first = Self.exit(.externalInterrupt, from: .l1, at: 100, ran: 100)
    first.end = 100 + 70 + turn
    let halt = Self.exit(.hlt, from: .l1, at: first.end + 30, ran: 30)
    var second = Self.exit(.hlt, from: .l2, at: 170, ran: 70, on: 1)
    second.end = halt.start + 400 + turn
    second.waitedCycles = 400
    var cut = halt
    cut.isFinished = false
    cut.end = second.end + 55 + turn
    var phases = PhaseBreakdown(own)
    for event in [second, first, cut] { phases.add(event) }
    phases.finish(at: cut.end)
    #expect(phases.total == cut.end)
    #expect(phases[.l1] == 130)
    #expect(phases[.l2] == 70 + 55)
    #expect(phases[.idle] == 400)
    #expect(phases[.others] == 0)
    let processors = phases.processors
    #expect(processors.map(\.total) == [cut.end, cut.end])
    #expect(processors.map { $0[.l1] } == [130, 0])
    #expect(processors.map { $0[.l2] } == [0, 125])
    #expect(processors[0][.others] == 125 + 400 + turn)
  }

  /// Whatever the events are, as in a trace that somebody made up, nothing traps.
  @Test func madeUpEventsDoNotTrap() {
    var phases = PhaseBreakdown(Self.prices)
    for start: UInt64 in [0, .max, 5, 1 << 63] {
      for end: UInt64 in [.max, 0, 7] {
        for route in [ExitLevel.l0, .l1] {
          phases.add(
            ExitEvent(
              from: .l2, reason: 0xFFFF, routedTo: route, start: start, end: end, hostCycles: .max,
              ranCycles: .max, waitedCycles: .max, work: ExitWork(vmcsReads: .max, vmptrlds: .max),
              tree: .max, processor: .max))
        }
      }
    }
    phases.finish(at: 0)
  }
}

@Suite struct ExitStatisticsTests {
  @Test func rowsHaveCountsAndTimes() {
    var statistics = ExitStatistics()
    for cycles: UInt64 in [10, 20, 60] {
      statistics.add(
        ExitEvent(
          from: .l1, reason: ExitReason.vmread.rawValue, start: 5, end: 5 + cycles, hostCycles: cycles))
    }
    statistics.add(ExitEvent(from: .l1, reason: ExitReason.hlt.rawValue, start: 9, isFinished: false))
    let rows = statistics.rows(of: .l1)
    #expect(rows.map(\.key.reason) == [ExitReason.vmread.rawValue, ExitReason.hlt.rawValue])
    #expect(rows[0].span.least == 10)
    #expect(rows[0].span.most == 60)
    #expect(rows[0].span.mean == 30)
    // Standard deviation sqrt(700), of the mean of three: sqrt(700 / 3), relative to 30.
    #expect(abs(rows[0].span.relativeError - (700.0 / 3).squareRoot() / 30) < 1e-12)
    #expect(rows[1].count == 1)
    #expect(rows[1].unfinished == 1)
    #expect(statistics.rows(of: .l2).isEmpty)
  }

  @Test func fieldsAreCountedByEncoding() {
    var counts = FieldCounts()
    func access(_ reason: ExitReason, _ encoding: UInt64) {
      counts.add(ExitEvent(from: .l1, reason: reason.rawValue, start: 0, operand: encoding))
    }
    access(.vmread, UInt64(VMCSField.exitReason.rawValue))
    access(.vmwrite, UInt64(VMCSField.guestRIP.rawValue))
    access(.vmread, UInt64(VMCSField.guestRIP.rawValue))
    access(.cpuid, 0)
    #expect(counts.rows.map(\.field) == [.guestRIP, .exitReason])
    #expect(counts.rows.map(\.reads) == [1, 1])
    #expect(counts.rows.map(\.writes) == [1, 0])
    for encoding in 0..<10_000 { access(.vmread, UInt64(encoding) << 16) }
    #expect(counts.others > 0)
  }
}
