import CostModel
import Experiments
import Testing
import Trace
import VMX

@Suite struct IterationWorkTests {
  /// CPUID, answered by a VMREAD and VMRESUME; a page fault that L0 keeps, one that L1 handles; CPUID.
  private static func events() -> [ExitEvent] {
    var vmresume = ExitEvent(
      from: .l1, reason: ExitReason.vmresume.rawValue, start: 300, end: 400, instructions: 50)
    vmresume.work.walkReferences = 9
    var kept = ExitEvent(
      from: .l2, reason: ExitReason.exceptionOrNMI.rawValue, start: 500, end: 550, instructions: 60)
    kept.work.walkReferences = 4
    kept.waitedCycles = 7
    var mark = ExitEvent(
      from: .l2, reason: ExitReason.cpuid.rawValue, routedTo: .l1, start: 900, end: 990, instructions: 80)
    mark.work.walkReferences = 2
    mark.work.vmcsReads = 1000
    return [
      ExitEvent(from: .l1, reason: ExitReason.vmread.rawValue, start: 200, end: 210), vmresume,
      ExitEvent(from: .l2, reason: ExitReason.cpuid.rawValue, routedTo: .l1, start: 100, end: 400), kept,
      ExitEvent(from: .l1, reason: ExitReason.vmresume.rawValue, start: 700, end: 800, instructions: 70),
      ExitEvent(
        from: .l2, reason: ExitReason.exceptionOrNMI.rawValue, routedTo: .l1, start: 600, end: 800,
        instructions: 65),
      mark,
    ]
  }

  @Test func countsFromTheFirstMarkToTheSecond() throws {
    let work = try #require(IterationWork(Self.events(), areMemoryAccesses: false))
    #expect(work.span == 600)
    #expect(work.instructions == 30)
    #expect(work.waited == 7)
    #expect(work.keptByL0 == 1)
    #expect(work.handledByL1 == 1)
    #expect(work.fromL1 == 2)
    #expect(work.work.exits == 4)
    #expect(work.work[.pageWalkReference] == 4 + 2, "of what was run behind the first VMRESUME")
    #expect(work.work[.vmread] == 0, "what L0 does for the second mark is not measured")
  }

  @Test func needsTwoMarks() {
    #expect(IterationWork([], areMemoryAccesses: false) == nil)
    #expect(IterationWork(Array(Self.events().dropLast()), areMemoryAccesses: false) == nil)
  }
}
