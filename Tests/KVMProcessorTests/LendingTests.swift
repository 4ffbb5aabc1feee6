import KVMProcessor
import Testing

@Suite struct LendingTests {
  /// What a run that was no gain is followed by, in turn.
  private func losses(_ policy: inout LendingPolicy, _ count: Int, time: Double) -> [UInt64] {
    (0..<count).map { _ in
      policy.noteRun(instructions: 10, time: time)
      defer { policy.noteTurn(instructions: policy.turn) }
      return policy.turn
    }
  }

  @Test func runsThatAreNoGainBecomeRare() {
    var policy = LendingPolicy(.gain, pace: 0.3)
    #expect(policy.isDue)
    let turns = losses(&policy, 20, time: 30_000)
    #expect(Array(turns.prefix(4)) == [32, 64, 128, 256])
    // 16 times 30 µs at 3 ns an instruction.
    #expect(turns.last == 160_000)
    #expect(losses(&policy, 40, time: 1e12).last == 1 << 18)
    // Where KVM cannot gain, it is hardly tried.
    var slow = LendingPolicy(.gain, pace: 600)
    #expect(losses(&slow, 40, time: 1e12).last == 1 << 24)
  }

  @Test func aGainIsFollowedByTheNextRun() {
    var policy = LendingPolicy(.gain, pace: 0.3)
    _ = losses(&policy, 20, time: 30_000)
    policy.noteRun(instructions: 100_000, time: 30_000)
    #expect(policy.isDue)
    // One among many losses changes little, and what is gain by turns goes on.
    #expect(losses(&policy, 1, time: 30_000) == [80_000])
    for _ in 0..<12 {
      policy.noteRun(instructions: 100_000, time: 30_000)
      #expect(policy.isDue)
      _ = losses(&policy, 1, time: 30_000)
    }
    #expect(losses(&policy, 2, time: 30_000) == [64, 128])
  }

  @Test func aTurnOutlastsVMExits() {
    var policy = LendingPolicy(.gain, pace: 0.3)
    _ = losses(&policy, 3, time: 30_000)
    policy.noteRun(instructions: 0, time: 30_000)
    policy.noteTurn(instructions: 200)
    #expect(policy.turn == 56)
    policy.noteTurn(instructions: 57)
    #expect(policy.isDue)
  }

  @Test func theSoftwareProcessorsPaceIsTheOneOfKnownCode() {
    var policy = LendingPolicy(.gain, pace: 0.3)
    policy.noteStretch(instructions: 1000, time: 100_000)
    #expect(policy.softwareTime == 3)
    policy.noteStretch(instructions: 100_000, time: 10_000_000)
    #expect(policy.softwareTime > 3 && policy.softwareTime < 6)
    for _ in 0..<100 { policy.noteStretch(instructions: 2048, time: 4096) }
    #expect(abs(policy.softwareTime - 2) < 0.1)
  }

  @Test func aTurnIsInterruptedWhereKVMGains() {
    var policy = LendingPolicy(.gain, pace: 0.3)
    _ = losses(&policy, 20, time: 30_000)
    let isGain = policy.noteRun(instructions: 1, time: 30_000)
    #expect(!isGain)
    #expect(policy.stretch == LendingPolicy.greatestStretch)
    policy.endTurn()
    #expect(policy.isDue && policy.stretch == 1)
    let isNext = policy.noteRun(instructions: 1_000_000, time: 30_000)
    #expect(isNext)
  }

  @Test func allIsLentAtOnce() {
    var policy = LendingPolicy(.all, pace: 0.3)
    policy.noteRun(instructions: 1, time: 1e9)
    #expect(policy.isDue)
    policy.noteRefusal(isLasting: false)
    #expect(policy.turn == 1)
  }
}
