import CostModel
import ExitAnalysis
import Foundation
import Hypervisor
import Testing
import Trace

/// One run whose exit trees are on record.
struct GoldenCase: CustomTestStringConvertible {
  var workload: String
  var iterations: UInt64
  var access: VMCSAccessModel

  var testDescription: String { "\(workload), access \(access.rawValue)" }
  var commandLine: String { "workload=\(workload) iterations=\(iterations)" }
  var file: URL { Repository.golden.appending(path: "\(workload)-access-\(access.rawValue).txt") }

  /// More iterations than `minimal` has pages in its pool, so that `memory` shows its INVEPT; few rounds of `none`,
  /// which are long.
  static let all: [GoldenCase] = VMCSAccessModel.allCases.flatMap { access in
    ["cpuid", "hypercall", "io", "msr", "hlt", "memory", "interrupt", "none"].map {
      GoldenCase(workload: $0, iterations: $0 == "none" ? 10 : 300, access: access)
    }
  }

  func run(by bootProtocol: BootProtocol? = nil) throws -> GuestRun {
    try runCommitted("minimal", commandLine) {
      $0.nested.vmcsAccess = access
      $0.bootProtocol = bootProtocol
    }
  }

  /// What is on record: every exit tree by shape, and every kind of exit, but no cycles.
  func text(of run: GuestRun) -> String {
    var lines = ["minimal \(commandLine), VMCS access \(access.rawValue)", "", "Exit trees:"]
    lines += TreeShape.shapes(of: run.trees).map { "\($0.count) of \($0.size) exits: \($0.text)" }
    lines += run.result.trees.filter { $0.unfinished > 0 }.map {
      "\($0.unfinished) unfinished: L2 \($0.reasonName)"
    }
    lines += ["", "Exits:"]
    lines += run.result.exits.map { "\($0.from.name) \($0.reasonName) → \($0.routedTo.name): \($0.count)" }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// The exit trees of each workload, held against `Golden/`.
///
/// A golden file is written anew only by `TESTUDO_WRITE_GOLDEN=1 swift test --filter GoldenTests`; look at the
/// difference before it is committed.
@Suite struct GoldenTreeTests {
  static let writes = ProcessInfo.processInfo.environment["TESTUDO_WRITE_GOLDEN"] == "1"

  @Test(arguments: GoldenCase.all) func exitTreesAreAsRecorded(_ golden: GoldenCase) throws {
    let run = try golden.run()
    #expect(run.result.outcome == .guestReported(code: 0), "\(run.serial)")
    #expect(run.serial.hasSuffix("done\n"))
    let text = golden.text(of: run)
    if Self.writes { try text.write(to: golden.file, atomically: true, encoding: .utf8) }
    #expect(try String(contentsOf: golden.file, encoding: .utf8) == text)
  }

  @Test(arguments: GoldenCase.all) func everyIterationIsOneExitAndAllCyclesAreAccountedFor(
    _ golden: GoldenCase
  ) throws {
    let run = try golden.run()
    let result = run.result
    let multiplication = Multiplication(result.trees)
    #expect(multiplication.l2Exits == (golden.workload == "none" ? 0 : golden.iterations))
    #expect(multiplication.hardwareExits == run.trees.reduce(0) { $0 + UInt64($1.size) })
    #expect(result.exits.reduce(0) { $0 + $1.count } == UInt64(result.events.count))
    let walks = result.pageWalks.l1.references + result.pageWalks.l2.references
    #expect(
      result.virtualCycles
        == result.instructions + result.exitlessAccesses.cycles + result.exits.reduce(0) { $0 + $1.cycles }
        + walks * CostTable.reference.prices.pageWalkReference)
    for tree in run.trees {
      let last = try #require(tree.children.last)
      #expect(tree.hostCycles + tree.guestHypervisorCycles == tree.inclusiveCycles)
      let prices = CostTable.reference.prices
      let accesses = tree.children.reduce(UInt64(0)) {
        $0 + prices.guestWork($1.work, areMemoryAccesses: golden.access.isMemoryAccess)
      }
      #expect(last.instructions - tree.root.instructions + accesses == tree.guestHypervisorCycles)
    }
  }

  /// The multiplication is the tree: 8 exits for each CPUID, and nothing on average that no tree has.
  @Test func theMultiplicationOfCPUIDIsTheSizeOfItsTree() throws {
    let run = try runCommitted("minimal", "workload=cpuid iterations=1000")
    let shapes = TreeShape.shapes(of: run.trees)
    #expect(shapes.map(\.count) == [1000])
    #expect(Multiplication(run.result.trees).perL2Exit == Double(shapes[0].size))
  }

  @Test func shadowingTakesAwayExactlyTheExitsOfVMREADAndVMWRITE() throws {
    for workload in ["cpuid", "hypercall", "io", "msr", "hlt", "memory"] {
      let off = try GoldenCase(workload: workload, iterations: 20, access: .off).run()
      let hardware = try GoldenCase(workload: workload, iterations: 20, access: .hardware).run()
      let expected = off.trees.map { tree in
        tree.children.map { "\($0.reasonName)" }.filter { $0 != "VMREAD" && $0 != "VMWRITE" }
      }
      #expect(hardware.trees.map { $0.children.map { "\($0.reasonName)" } } == expected, "\(workload)")
      #expect(hardware.result.sync.shadowFills > 20)
      #expect(off.result.sync.shadowFills == 0)
    }
  }

  /// The policy moves ept02's fills between VM entries and exits of L2, and touches nothing that L1 does.
  @Test func compositionOnDemandAddsOnlyExitsThatL0Keeps() throws {
    for workload in ["cpuid", "memory", "none"] {
      let golden = GoldenCase(workload: workload, iterations: 20, access: .off)
      let ahead = try golden.run()
      let onDemand = try runCommitted("minimal", golden.commandLine) {
        $0.nested.eptComposition = .onDemand
      }
      #expect(onDemand.trees.map(\.text) == ahead.trees.map(\.text), "\(workload)")
      #expect(ahead.exitsOfL2KeptByL0 == 0, "\(workload)")
      #expect(onDemand.exitsOfL2KeptByL0 > 0, "\(workload)")
    }
  }

  @Test(arguments: VMCSAccessModel.allCases) func twoRunsAreAlike(_ access: VMCSAccessModel) throws {
    for workload in ["cpuid", "memory"] {
      let golden = GoldenCase(workload: workload, iterations: 50, access: access)
      let first = try golden.run()
      let second = try golden.run()
      #expect(first.result.events == second.result.events)
      #expect(first.result.virtualCycles == second.result.virtualCycles)
      #expect(first.serial == second.serial)
    }
  }

  /// The ways in that `minimal` has: it is no Linux kernel.
  @Test(arguments: [BootProtocol.pvh, .multiboot, .entry64]) func eachBootProtocolGivesTheSameTrees(
    _ wanted: BootProtocol
  )
    throws
  {
    let golden = GoldenCase(workload: "io", iterations: 10, access: .off)
    let run = try golden.run(by: wanted)
    let usual = try golden.run()
    #expect(run.result.outcome.isSuccess)
    #expect(TreeShape.shapes(of: run.trees).map(\.text) == TreeShape.shapes(of: usual.trees).map(\.text))
  }

  @Test func noIterationsAtAllIsASuccess() throws {
    let run = try runCommitted("minimal", "workload=cpuid iterations=0")
    #expect(run.result.outcome.isSuccess)
    #expect(Multiplication(run.result.trees) == Multiplication())
  }
}
