import Processor
import Testing

@Suite struct VirtualClockTests {
  /// A machine that nobody limits runs until the guest ends.
  @Test func newClockIsAtPowerOnAndUnlimited() {
    let clock = VirtualClock()
    #expect(clock.instructions == 0)
    #expect(clock.cycles == 0)
    #expect(clock.instructionLimit == .max)
  }
}
