import Synchronization
import Testing
import Trace
import VMX

/// An exit of `level` that L0 handled in `cycles` cycles from `start` on.
private func exit(
  _ reason: ExitReason, from level: ExitLevel = .l1, start: UInt64 = 0, cycles: UInt64 = 10
) -> ExitEvent {
  ExitEvent(from: level, reason: reason.rawValue, start: start, end: start + cycles, hostCycles: cycles)
}

/// An exit of L2 that is reflected to L1.
private func reflected(_ reason: ExitReason, start: UInt64, cycles: UInt64 = 10) -> ExitEvent {
  ExitEvent(from: .l2, reason: reason.rawValue, routedTo: .l1, start: start, hostCycles: cycles)
}

/// Receives events from a sink that may run anywhere.
private final class Received: Sendable {
  let events = Mutex<[ExitEvent]>([])
}

@Suite struct ExitLogTests {
  @Test func anEventIsATrivialValueOf128Bytes() {
    #expect(MemoryLayout<ExitEvent>.stride == 128)
    #expect(_isPOD(ExitEvent.self))
  }

  @Test func treesHoldTheExitsBetweenAnExitOfL2AndItsResumption() {
    var log = ExitLog(mode: .kept(limit: 100))
    log.append(exit(.vmxon))
    log.openTree(reflected(.cpuid, start: 100))
    #expect(log.currentTree == 0)
    log.append(exit(.vmread, start: 120))
    log.append(exit(.vmresume, start: 140))
    log.closeTree(at: 150, finished: true)
    #expect(log.currentTree == ExitEvent.noTree)
    log.append(exit(.eptViolation, from: .l2, start: 160))
    log.openTree(reflected(.hlt, start: 200))
    log.append(exit(.vmread, start: 220))
    log.finish(at: 240)

    let events = log.events
    #expect(events.map(\.tree) == [ExitEvent.noTree, 0, 0, 0, 1, 2, 2])
    #expect(events.map(\.isFinished) == [true, true, true, true, true, true, false])
    #expect(events[3].span == 50)
    #expect(events[6].end == 240)
    #expect(
      log.treeCounts == [
        TreeCount(
          reason: ExitReason.cpuid.rawValue, finished: 1, hardwareExits: 3, spanCycles: 50, unfinished: 0),
        TreeCount(
          reason: ExitReason.hlt.rawValue, finished: 0, hardwareExits: 0, spanCycles: 0, unfinished: 1),
      ])
  }

  @Test func countsAreExactWhateverIsKept() {
    let modes: [TraceMode] = [.countsOnly, .kept(limit: 3), .streamed(sink: { _ in })]
    for mode in modes {
      var log = ExitLog(mode: mode)
      for index in 0..<10_000 { log.append(exit(.cpuid, start: UInt64(index) * 20, cycles: 7)) }
      log.append(exit(.ioInstruction, from: .l2))
      log.finish(at: 1_000_000)
      #expect(
        log.exitCounts == [
          ExitCount(
            from: .l2, reason: ExitReason.ioInstruction.rawValue, routedTo: .l0, count: 1, cycles: 10,
            spanCycles: 10),
          ExitCount(
            from: .l1, reason: ExitReason.cpuid.rawValue, routedTo: .l0, count: 10_000, cycles: 70_000,
            spanCycles: 70_000),
        ])
    }
  }

  @Test func whatDoesNotFitIsCountedAsDropped() {
    var log = ExitLog(mode: .kept(limit: 5000))
    for index in 0..<6000 { log.append(exit(.cpuid, start: UInt64(index))) }
    #expect(log.events.count == 5000)
    #expect(log.events.last?.start == 4999)
    #expect(log.dropped == 1000)
    var none = ExitLog(mode: .kept(limit: 0))
    none.append(exit(.cpuid))
    #expect(none.dropped == 1)
    #expect(none.events.isEmpty)
  }

  @Test func aStreamGetsEveryEventInOrder() {
    let received = Received()
    var log = ExitLog(
      mode: .streamed(sink: { buffer in received.events.withLock { $0.append(contentsOf: buffer) } }))
    for index in 0..<10_000 { log.append(exit(.cpuid, start: UInt64(index))) }
    log.finish(at: 10_000)
    let starts = received.events.withLock { $0.map(\.start) }
    #expect(starts == Array(0..<10_000))
    #expect(log.events.isEmpty)
    #expect(log.dropped == 0)
  }

  @Test func anUnknownReasonIsCountedInTheLastRow() {
    var log = ExitLog()
    log.append(ExitEvent(from: .l1, reason: 0xFFFF, start: 0))
    #expect(log.exitCounts.map(\.reason) == [127])
    #expect("\(log.exitCounts[0].reasonName)" == "UNKNOWN")
  }

  @Test func rowsAreInOrderOfLevelThenCountThenReason() {
    var log = ExitLog()
    for (reason, count) in [(ExitReason.vmread, 2), (.cpuid, 2), (.vmwrite, 5)] {
      for _ in 0..<count { log.append(exit(reason)) }
    }
    log.append(exit(.eptViolation, from: .l2))
    #expect(log.exitCounts.map { "\($0.reasonName)" } == ["EPT_VIOLATION", "VMWRITE", "CPUID", "VMREAD"])
  }
}
