import Testing

import Platform

/// Motorola, MC146818 data sheet.
@Suite struct RealTimeClockTests {
  private static let second: UInt64 = 1_000_000_000

  private func register(_ board: TestBoard, _ index: UInt32) -> UInt32 {
    board.output(index, 0x70)
    return board.input(0x71)
  }

  private func set(_ board: TestBoard, _ index: UInt32, _ value: UInt32) {
    board.output(index, 0x70)
    board.output(value, 0x71)
  }

  private func time(_ board: TestBoard) -> [UInt32] { [0x32, 9, 8, 7, 4, 2, 0].map { register(board, $0) } }

  @Test func itStartsAtTheGivenTimeInBCD() throws {
    let start = try #require(ClockTime.seconds(of: "2024-02-28T23:59:58"))
    let board = TestBoard { $0.clockStart = start }
    #expect(time(board) == [0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58])
    // A Wednesday.
    #expect(register(board, 6) == 4)
    board.pass(2 * Self.second + 1)
    #expect(time(board) == [0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00])
    board.pass(86_400 * Self.second)
    #expect(time(board) == [0x20, 0x24, 0x03, 0x01, 0x00, 0x00, 0x00])
  }

  @Test func binaryAnd12HourFormats() throws {
    let start = try #require(ClockTime.seconds(of: "2026-11-30T15:45:30"))
    let board = TestBoard { $0.clockStart = start }
    set(board, 0xB, 0x04)
    set(board, 4, 0x83)
    #expect(register(board, 4) == 0x83)
    // Whoever changes the format writes all registers anew.
    set(board, 0xB, 0x06)
    set(board, 4, 15)
    set(board, 2, 45)
    set(board, 0, 59)
    board.pass(Self.second)
    #expect(register(board, 0) == 0)
    #expect(register(board, 4) == 15)
  }

  @Test func thePeriodicInterruptComesAtItsRate() {
    let board = TestBoard()
    board.redirect(8, 0x38)
    set(board, 0xB, 0x42)
    var count = 0
    for _ in 0..<4096 {
      board.pass(Self.second / 4096)
      if board.apic.acknowledge() != nil {
        board.setLocal(0xB0, 0)
        count += 1
        #expect(register(board, 0xC) & 0xC0 == 0xC0)
      }
    }
    #expect((1022...1025).contains(count))
  }

  @Test func theAlarmComesAtItsTime() throws {
    let start = try #require(ClockTime.seconds(of: "2026-01-01T10:00:00"))
    let board = TestBoard { $0.clockStart = start }
    board.redirect(8, 0x38)
    set(board, 1, 0x05)
    set(board, 3, 0x00)
    set(board, 5, 0x10)
    set(board, 0xB, 0x22)
    board.pass(4 * Self.second)
    #expect(board.apic.pendingInterrupt == nil)
    board.pass(Self.second + Self.second / 10)
    #expect(board.apic.pendingInterrupt == 0x38)
    #expect(register(board, 0xC) & 0xA0 == 0xA0)
    #expect(register(board, 0xC) == 0)
  }

  /// ACPI Specification, "PM1 Event Grouping": RTC_STS and RTC_EN, whose readback Linux checks.
  @Test func theAlarmIsAFixedEvent() throws {
    let start = try #require(ClockTime.seconds(of: "2026-01-01T10:00:00"))
    let board = TestBoard { $0.clockStart = start }
    board.redirect(9, 0x8039)
    board.output(0x400, 0x602, size: 2)
    #expect(board.input(0x602, size: 2) == 0x400)
    set(board, 1, 0x02)
    set(board, 3, 0x00)
    set(board, 5, 0x10)
    board.pass(3 * Self.second)
    #expect(board.input(0x600, size: 2) == 0)
    _ = register(board, 0xC)
    set(board, 1, 0x05)
    set(board, 0xB, 0x22)
    board.pass(3 * Self.second)
    #expect(board.input(0x600, size: 2) == 0x400)
    #expect(board.apic.acknowledge() == 0x39)
    // Cleared, it does not come back before the next alarm, whether or not the clock's own flag was read.
    board.output(0x400, 0x600, size: 2)
    board.pass(Self.second)
    #expect(board.input(0x600, size: 2) == 0)
  }

  @Test func settingStopsTheUpdates() {
    let board = TestBoard()
    set(board, 0xB, 0x82)
    let before = time(board)
    board.pass(3 * Self.second)
    #expect(time(board) == before)
    set(board, 0xB, 0x02)
    board.pass(3 * Self.second)
    #expect(time(board) != before)
  }

  @Test func theMemoryTellsTheSizesOfRAM() {
    let board = TestBoard {
      $0.lowMemory = 3 << 30
      $0.highMemory = 5 << 30
    }
    #expect(register(board, 0x15) | register(board, 0x16) << 8 == 640)
    #expect(register(board, 0x34) | register(board, 0x35) << 8 == ((3 << 30) - (16 << 20)) >> 16)
    #expect(register(board, 0x5B) | register(board, 0x5C) << 8 | register(board, 0x5D) << 16 == 5 << 14)
    set(board, 0x40, 0xA5)
    #expect(register(board, 0x40) == 0xA5)
    #expect(register(board, 0xD) == 0x80)
  }

  // MARK: What a user writes

  @Test func timesAreReadExactly() {
    #expect(ClockTime.seconds(of: "1970-01-01") == 0)
    #expect(ClockTime.seconds(of: "2000-02-29T12:00:00") == 951_825_600)
    #expect(ClockTime.seconds(of: "2026-01-01") == BoardConfiguration.defaultClockStart)
  }

  @Test(arguments: [
    "", "2026", "2026-1-1", "2026-02-30", "2026-13-01", "1969-12-31", "2100-01-01", "2026-01-01T24:00:00",
    "2026-01-01T", "2026-01-01T1:2:3", "+026-01-01", "2026-01-01T00:00:00T",
  ])
  func whatIsNoTimeIsRefused(_ text: String) { #expect(ClockTime.seconds(of: text) == nil) }
}
