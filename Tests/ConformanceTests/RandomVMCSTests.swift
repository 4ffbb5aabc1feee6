import Foundation
import NestedRig
import Testing

/// Random VMCSs entered by L1: L0 never crashes, hangs or reads where it must not, it refuses what violates a check and
/// nothing else, and what it accepts runs.
///
/// `TESTUDO_RANDOM_VMCSS=1000000` has a million of them entered instead of what fits a test run.
@Suite("Random VMCSs")
struct RandomVMCSTests {
  private static let count =
    ProcessInfo.processInfo.environment["TESTUDO_RANDOM_VMCSS"].flatMap(Int.init) ?? 50_000

  @Test func eachIsRefusedForAReasonOrRuns() throws {
    let script = FuzzScript { number in
      number < Self.count ? Choices(seed: UInt64(number) &* 0x9E37_79B9_7F4A_7C15) : nil
    }
    try Rig().runAll(script, count: Self.count)
    for problem in script.problems.prefix(20) { Issue.record("\(problem)") }
    #expect(script.problems.isEmpty, "\(script.problems.count) in all")
    // The seed is such that each happens often; else this would test little.
    let tally = script.tally
    print("random VMCSs:", tally, "exit reasons:", script.reasons.sorted())
    #expect(tally.count == Self.count)
    #expect(tally.entered > Self.count / 10)
    #expect(tally.failedByControlsOrHost > Self.count / 10)
    #expect(tally.failedByGuestState > Self.count / 50)
    #expect(script.reasons.count > 20)
  }
}
