import Platform
import Testing

/// SDM volume 3, "Advanced Programmable Interrupt Controller (APIC)".
@Suite struct LocalAPICTests {
  @Test func theFirmwareLeavesVirtualWireMode() {
    let board = TestBoard(processors: 2)
    #expect(board.local(0xF0) == 0x1FF)
    #expect(board.local(0x350) == 0x700)
    #expect(board.local(0x360) == 0x400)
    #expect(board.local(0x350, by: 1) == 0x1_0700)
    #expect(board.local(0x20, by: 1) == 1 << 24)
    #expect(board.local(0x30) == 0x0105_0015)
  }

  /// SDM volume 3, "Local APIC ID": software can change it, in xAPIC mode alone; disabling the APIC brings it back.
  @Test func theIdentifierOfXAPICModeCanBeChanged() {
    let board = TestBoard(processors: 2)
    board.setLocal(0x20, 7 << 24)
    #expect(board.local(0x20) == 7 << 24)
    board.setLocal(0x310, 7 << 24, by: 1)
    board.setLocal(0x300, 0x4041, by: 1)
    #expect(board.apic.pendingInterrupt == 0x41)
    let enabled: UInt64 = 0xFEE0_0900
    #expect(board.apic.writeMSR(0x1B, enabled | 0x400))
    #expect(board.apic.readMSR(0x802) == 0)
    #expect(board.apic.writeMSR(0x1B, 0xFEE0_0100))
    #expect(board.apic.writeMSR(0x1B, enabled))
    #expect(board.local(0x20) == 0)
  }

  @Test func aModeThatTheProcessorLacksCannotBeEntered() {
    let board = TestBoard {
      $0.hasX2APIC = false
      $0.hasDeadlineTimer = false
    }
    #expect(!board.apic.writeMSR(0x1B, 0xFEE0_0D00))
    #expect(board.apic.readMSR(0x6E0) == nil)
    #expect(!board.apic.writeMSR(0x6E0, 1))
    board.setLocal(0x320, 0x4_00EF)
    #expect(board.local(0x320) == 0xEF)
  }

  @Test func anInterruptGoesThroughRequestServiceAndEOI() {
    let board = TestBoard()
    board.setLocal(0x300, 0x4_0000 | 0x4041)
    #expect(board.local(0x220) == 1 << 1)
    #expect(board.apic.pendingInterrupt == 0x41)
    #expect(board.apic.acknowledge() == 0x41)
    #expect(board.local(0x220) == 0)
    #expect(board.local(0x120) == 1 << 1)
    #expect(board.local(0xA0) == 0x40)
    #expect(board.apic.pendingInterrupt == nil)
    board.setLocal(0xB0, 0)
    #expect(board.local(0x120) == 0)
    #expect(board.local(0xA0) == 0)
  }

  @Test func prioritiesHoldBackAndLetThrough() {
    let board = TestBoard()
    board.setLocal(0x80, 0x50)
    board.setLocal(0x300, 0x4_4055)
    #expect(board.apic.pendingInterrupt == nil)
    board.setLocal(0x300, 0x4_4061)
    #expect(board.apic.acknowledge() == 0x61)
    board.apic.cr8 = 4
    #expect(board.local(0x80) == 0x40)
    #expect(board.apic.pendingInterrupt == nil)
    board.setLocal(0xB0, 0)
    #expect(board.apic.pendingInterrupt == 0x55)
  }

  @Test func shorthandsReachWhomTheyName() {
    let board = TestBoard(processors: 3)
    board.setLocal(0x300, 0xC_4033)
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [nil, 0x33, 0x33])
    board.setLocal(0x300, 0x8_4034, by: 1)
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [0x34, 0x34, 0x34])
    board.setLocal(0x310, 2 << 24)
    board.setLocal(0x300, 0x4077)
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [0x34, 0x34, 0x77])
  }

  @Test func logicalDestinationsAreFlatOrClusters() {
    let board = TestBoard(processors: 2)
    for processor in 0..<2 { board.setLocal(0xD0, UInt32(1 << processor) << 24, by: processor) }
    board.setLocal(0x310, 2 << 24)
    board.setLocal(0x300, 0x4842)
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [nil, 0x42])
    for processor in 0..<2 {
      board.setLocal(0xE0, 0x0FFF_FFFF, by: processor)
      board.setLocal(0xD0, (UInt32(processor + 1) << 4 | 1) << 24, by: processor)
    }
    board.setLocal(0x310, 0x11 << 24)
    board.setLocal(0x300, 0x4843)
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [0x43, 0x42])
  }

  @Test func initAndStartUpReachTheOtherProcessor() {
    let board = TestBoard(processors: 2)
    let other = board.board.localAPICs[1]
    board.setLocal(0x310, 1 << 24)
    board.setLocal(0x300, 0x4500)
    #expect(other.signals == .initialize)
    #expect(other.takeINIT())
    board.setLocal(0x300, 0x4608)
    #expect(other.takeStartUp() == 8)
    #expect(other.takeStartUp() == nil)
    board.setLocal(0x300, 0x4400)
    #expect(other.takeNMI())
    #expect(!other.takeNMI())
  }

  @Test func illegalVectorsAreErrors() {
    let board = TestBoard()
    board.setLocal(0x370, 0xFE)
    board.setLocal(0x300, 0x4_4005)
    #expect(board.apic.acknowledge() == 0xFE)
    #expect(board.local(0x280) == 0)
    board.setLocal(0x280, 0)
    #expect(board.local(0x280) == 1 << 5)
    board.setLocal(0x280, 0)
    #expect(board.local(0x280) == 0)
  }

  // MARK: Timer

  @Test func theOneShotTimerFiresOnceAtItsTime() {
    let board = TestBoard()
    board.setLocal(0x3E0, 0xB)
    board.setLocal(0x320, 0x40)
    board.setLocal(0x380, 250)
    // The crystal ticks 25 million times a second: 40 cycles a tick.
    board.pass(4000)
    #expect(board.local(0x390) == 150)
    #expect(board.apic.pendingInterrupt == nil)
    board.pass(5999)
    #expect(board.apic.pendingInterrupt == nil)
    board.pass(1)
    #expect(board.apic.acknowledge() == 0x40)
    #expect(board.local(0x390) == 0)
    board.setLocal(0xB0, 0)
    board.pass(100_000)
    #expect(board.apic.pendingInterrupt == nil)
  }

  @Test(
    arguments: [(0xB, 1), (0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xA, 128)] as [(UInt32, UInt64)]
  )
  func thePeriodicTimerCountsByItsDivisor(_ code: UInt32, _ divisor: UInt64) {
    let board = TestBoard()
    board.setLocal(0x3E0, code)
    board.setLocal(0x320, 0x2_0050)
    board.setLocal(0x380, 10)
    for _ in 0..<3 {
      board.pass(10 * divisor * 40 - 1)
      #expect(board.apic.pendingInterrupt == nil)
      board.pass(1)
      #expect(board.apic.acknowledge() == 0x50)
      board.setLocal(0xB0, 0)
    }
  }

  @Test func theDeadlineTimerFollowsTheTSC() {
    let board = TestBoard()
    board.apic.timeStampCounterOffset = 1000
    board.setLocal(0x320, 0x4_0060)
    #expect(board.apic.writeMSR(0x6E0, 6000))
    #expect(board.apic.deadline == 5000)
    board.pass(4999)
    #expect(board.apic.pendingInterrupt == nil)
    #expect(board.apic.readMSR(0x6E0) == 6000)
    board.pass(1)
    #expect(board.apic.pendingInterrupt == 0x60)
    #expect(board.apic.readMSR(0x6E0) == 0)
    board.setLocal(0x380, 5)
    #expect(board.local(0x380) == 0)
  }

  // MARK: Modes

  @Test func x2APICHasItsRegistersInMSRs() {
    let board = TestBoard(processors: 2)
    #expect(board.apic.readMSR(0x802) == nil)
    #expect(board.apic.writeMSR(0x1B, 0xFEE0_0D00))
    #expect(board.apic.mode == .x2APIC)
    #expect(board.apic.readMSR(0x802) == 0)
    #expect(board.apic.readMSR(0x80D) == 1)
    #expect(board.apic.writeMSR(0x83F, 0x45))
    #expect(board.apic.pendingInterrupt == 0x45)
    #expect(!board.apic.writeMSR(0x83F, 0x145))
    #expect(!board.apic.writeMSR(0x80B, 1))
    #expect(!board.apic.writeMSR(0x802, 1))
    #expect(board.apic.readMSR(0x80B) == nil)
    #expect(board.apic.page == nil)
    #expect(board.board.read(TestBoard.localAPIC, size: 4, by: 0) == 0xFFFF_FFFF)
  }

  @Test func theModesChangeOnlyAsTheSDMAllows() {
    let board = TestBoard()
    let apic = board.apic
    defer { withExtendedLifetime(board) {} }
    #expect(apic.writeMSR(0x1B, 0xFEE0_0D00))
    #expect(!apic.writeMSR(0x1B, 0xFEE0_0900))
    #expect(apic.writeMSR(0x1B, 0xFEE0_0100))
    #expect(apic.mode == .disabled)
    #expect(!apic.writeMSR(0x1B, 0xFEE0_0D00))
    #expect(!apic.writeMSR(0x1B, 0xFEE0_0500))
    #expect(apic.writeMSR(0x1B, 0xFEE0_0900))
    #expect(!apic.writeMSR(0x1B, 0xFEE0_0901))
    #expect(!apic.writeMSR(0x1B, 1 << 46 | 0x900))
    #expect(apic.readMSR(0x1B) == 0xFEE0_0900)
  }

  @Test func thePageMovesWithItsBase() {
    let board = TestBoard()
    #expect(board.apic.writeMSR(0x1B, 0xFED0_0900))
    #expect(board.board.read(0xFED0_0030, size: 4, by: 0) == 0x0105_0015)
    #expect(board.local(0x30) == 0xFFFF_FFFF)
  }

  @Test func anAPICDisabledBySoftwareMasksItsLocalVectors() {
    let board = TestBoard()
    board.setLocal(0x320, 0x40)
    board.setLocal(0xF0, 0xFF)
    #expect(board.local(0x320) == 0x1_0040)
    board.setLocal(0x320, 0x41)
    #expect(board.local(0x320) == 0x1_0041)
    board.setLocal(0x300, 0x4_4050)
    #expect(board.apic.pendingInterrupt == nil)
  }
}
