import ExitAnalysis
import Testing
import Trace
import VMX

/// A log of one set-up exit, two alike CPUID trees, one other, one exit kept by L0, and a tree that never ends.
private func sampleLog() -> ExitLog {
  var log = ExitLog(mode: .kept(limit: 1000))
  var now: UInt64 = 0
  func event(_ reason: ExitReason, from level: ExitLevel, to route: ExitLevel) -> ExitEvent {
    let event = ExitEvent(
      from: level, reason: reason.rawValue, routedTo: route, start: now, end: now + 30, hostCycles: 30,
      ranCycles: 5)
    now += 30
    return event
  }
  func tree(_ log: inout ExitLog, _ root: ExitReason, _ children: [ExitReason], finished: Bool = true) {
    log.openTree(event(root, from: .l2, to: .l1))
    for child in children {
      now += 5
      log.append(event(child, from: .l1, to: .l0))
    }
    if finished { log.closeTree(at: now, finished: true) }
    now += 100
  }
  log.append(event(.vmxon, from: .l1, to: .l0))
  tree(&log, .cpuid, [.vmread, .vmread, .cpuid, .vmread, .vmresume])
  log.append(event(.eptViolation, from: .l2, to: .l0))
  tree(&log, .cpuid, [.vmread, .vmread, .cpuid, .vmread, .vmresume])
  tree(&log, .cpuid, [.vmresume])
  tree(&log, .vmcall, [.vmxoff], finished: false)
  log.finish(at: now)
  return log
}

@Suite struct ExitTreeTests {
  @Test func textFoldsRepetitionsInOrder() {
    let trees = ExitTree.trees(in: sampleLog().events)
    #expect(trees.count == 3)
    #expect(trees[0].text == "L2 CPUID → L1 {VMREAD×2, CPUID, VMREAD, VMRESUME}")
    #expect(trees[2].text == "L2 CPUID → L1 {VMRESUME}")
    #expect(trees[0].size == 6)
  }

  @Test func cyclesOfATreeDivideExactly() {
    for tree in ExitTree.trees(in: sampleLog().events) {
      #expect(tree.hostCycles == UInt64(tree.size) * 30)
      #expect(tree.guestHypervisorCycles == UInt64(tree.children.count) * 5)
      #expect(tree.hostCycles + tree.guestHypervisorCycles == tree.inclusiveCycles)
    }
  }

  @Test func shapesAreCountedWithTheirShare() {
    let shapes = TreeShape.shapes(of: ExitTree.trees(in: sampleLog().events))
    #expect(shapes.map(\.count) == [2, 1])
    #expect(shapes[0].share == 2.0 / 3)
    #expect(TreeShape.modal(ExitReason.cpuid.rawValue, in: shapes) == shapes[0])
    #expect(TreeShape.modal(ExitReason.hlt.rawValue, in: shapes) == nil)
    #expect(
      TreeShape.canonicalText(shapes) == """
        2 trees of 6 exits: L2 CPUID → L1 {VMREAD×2, CPUID, VMREAD, VMRESUME}
        1 trees of 2 exits: L2 CPUID → L1 {VMRESUME}

        """)
  }

  @Test func multiplicationFromCountsAndFromEventsAgree() {
    let log = sampleLog()
    let multiplication = Multiplication(log.treeCounts)
    #expect(multiplication == Multiplication(l2Exits: 3, hardwareExits: 14))
    let trees = ExitTree.trees(in: log.events)
    #expect(multiplication.hardwareExits == UInt64(trees.reduce(0) { $0 + $1.size }))
    #expect(multiplication.perL2Exit == 14.0 / 3)
    #expect(Multiplication().perL2Exit == 0)
  }
}
