import Platform
import Testing

/// Intel, 82C54 data sheet; 1,193,182 ticks a second, of 838 ns each.
@Suite struct IntervalTimerTests {
  private static let second: UInt64 = 1_000_000_000

  private func interrupts(of board: TestBoard, within cycles: UInt64, steps: Int) -> Int {
    var count = 0
    for _ in 0..<steps {
      board.pass(cycles / UInt64(steps))
      while board.apic.hasPendingInterrupt {
        _ = board.apic.acknowledge()
        board.output(0x20, 0x20)
        count += 1
      }
    }
    return count
  }

  @Test func mode2InterruptsAtItsRate() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 1)
    board.output(0x34, 0x43)
    board.output(11932 & 0xFF, 0x40)
    board.output(11932 >> 8, 0x40)
    #expect((99...101).contains(interrupts(of: board, within: Self.second, steps: 2000)))
  }

  @Test func mode3InterruptsAtItsRate() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 1)
    board.output(0x36, 0x43)
    board.output(0, 0x40)
    board.output(0, 0x40)
    #expect((18...19).contains(interrupts(of: board, within: Self.second, steps: 2000)))
  }

  @Test func mode0InterruptsOnce() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 1)
    board.output(0x30, 0x43)
    board.output(0xE8, 0x40)
    board.output(0x03, 0x40)
    // 1000 ticks are 838 µs.
    board.pass(830_000)
    #expect(!board.apic.hasPendingInterrupt)
    board.pass(12_000)
    #expect(board.apic.acknowledge() == 0x20)
    board.output(0x20, 0x20)
    #expect(interrupts(of: board, within: Self.second, steps: 100) == 0)
  }

  @Test func aLatchedCountStandsStill() {
    let board = TestBoard()
    board.output(0x34, 0x43)
    board.output(0xFF, 0x40)
    board.output(0xFF, 0x40)
    board.pass(1_000_000)
    board.output(0, 0x43)
    board.pass(1_000_000)
    let latched = board.input(0x40) | board.input(0x40) << 8
    let live = board.input(0x40) | board.input(0x40) << 8
    #expect((65535 - 1194...65535 - 1191).contains(latched))
    #expect((65535 - 2388...65535 - 2384).contains(live))
  }

  @Test func channel2FollowsItsGate() {
    let board = TestBoard()
    board.output(1, 0x61)
    board.output(0xB0, 0x43)
    board.output(0x10, 0x42)
    board.output(0x27, 0x42)
    #expect(board.input(0x61) & 0x20 == 0)
    // 10,000 ticks are 8.38 ms.
    board.pass(8_300_000)
    #expect(board.input(0x61) & 0x20 == 0)
    board.pass(100_000)
    #expect(board.input(0x61) & 0x20 != 0)
  }

  @Test func readBackTellsTheStatus() {
    let board = TestBoard()
    board.output(0x36, 0x43)
    board.output(0, 0x40)
    board.output(0x10, 0x40)
    board.pass(10_000)
    board.output(0xE2, 0x43)
    // Output high, not null, both bytes, mode 3, binary.
    #expect(board.input(0x40) == 0xB6)
  }
}
