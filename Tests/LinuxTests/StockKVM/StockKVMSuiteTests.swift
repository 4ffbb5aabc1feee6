import Foundation
import Testing

/// The suite that every processor has to pass (Tests/ProcessorSuite), by the KVM processor on KVMs that other people have.
@Suite(
  "The processor suite on a stock KVM", .serialized,
  .enabled(if: SuiteProgram.canBeBuilt, "\(SuiteProgram.advice)"),
  .enabled(if: StockKVM.allCases.contains { $0.obstacle == nil }, "\(LinuxParts.advice)"))
struct StockKVMSuiteTests {
  /// Which tests a machine of software has the time for, and which of those it does not.
  private struct Part {
    var filter: String
    var skipped: [String] = []
    /// At least so many of them pass in every mode, rather than being cancelled as a declared difference.
    var leastPassed: Int
  }

  private static func part(_ kvm: StockKVM) -> Part {
    switch kvm {
    // Random code is left out: it has no expectations but that L0 survives, and takes longer than all others.
    case .amd: Part(filter: "KVMProcessorTests", skipped: ["SystemFuzzTests"], leastPassed: 180)
    // What depends on how a KVM reports exceptions, missing pages and interrupts. Testudo under Testudo has no time for more.
    case .intel:
      Part(
        filter:
          "SystemEntryTests|SystemEventTests|SystemExceptionExitTests|SystemBreakpointTests|KVMHostTests",
        leastPassed: 50)
    }
  }

  /// Seconds, of the machine's own.
  private static let limit = 500

  @Test("Every test passes but for the declared differences", arguments: StockKVM.allCases)
  func suitePasses(_ kvm: StockKVM) throws {
    if let obstacle = kvm.obstacle { try Test.cancel("\(obstacle)") }
    let part = Self.part(kvm)
    let log = "/tmp/log"
    let suite = SuiteProgram.command(
      filter: part.filter, skipping: part.skipped, seconds: Self.limit, to: log)
    let answers = try kvm.answers(
      to: [
        (
          name: "suite",
          command: "\(suite); status=$?; grep -a 'recorded an issue' \(log); tail -n 1 \(log); (exit $status)"
        ),
        (name: "passed", command: "grep -ac 'Test [^ ]*(.*passed after' \(log)"),
      ],
      adding: SuiteProgram.files.get(), kernelOptions: "rcupdate.rcu_expedited=1")
    let answer = try #require(answers["suite"])
    #expect(answer.status == 0, "\(answer.text)")
    let count = try #require(answers["passed"].flatMap { Int($0.text) })
    #expect(count >= part.leastPassed, "\(answer.text)")
  }
}
