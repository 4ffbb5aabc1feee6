import Platform
import Testing

/// Intel, 82093AA I/O APIC data sheet.
@Suite struct IOAPICTests {
  @Test func itHas24MaskedEntries() {
    let board = TestBoard()
    #expect(board.ioRegister(0) == 0)
    #expect(board.ioRegister(1) == 0x17_0020)
    for input in 0..<UInt32(24) { #expect(board.ioRegister(0x10 + input * 2) == 0x1_0000) }
    board.setIORegister(0, 0x0500_0000)
    #expect(board.ioRegister(0) == 0x0500_0000)
  }

  @Test func anEdgeIsSentOnceAndNotWhileMasked() {
    let board = TestBoard()
    let line = board.board.interruptLine(5)
    line.pulse()
    board.redirect(5, 0x35)
    #expect(board.apic.pendingInterrupt == nil)
    line.set(true)
    #expect(board.apic.acknowledge() == 0x35)
    board.setLocal(0xB0, 0)
    line.set(true)
    #expect(board.apic.pendingInterrupt == nil)
    line.set(false)
    line.set(true)
    #expect(board.apic.pendingInterrupt == 0x35)
  }

  @Test func aLevelStaysUntilItIsDropped() {
    let board = TestBoard()
    board.redirect(17, 0x8047)
    let line = board.board.interruptLine(17)
    line.set(true)
    #expect(board.apic.acknowledge() == 0x47)
    #expect(board.ioRegister(0x32) == 0xC047)
    #expect(board.local(0x1A0) == 1 << 7)
    board.setLocal(0xB0, 0)
    #expect(board.apic.acknowledge() == 0x47)
    line.set(false)
    board.setLocal(0xB0, 0)
    #expect(board.apic.pendingInterrupt == nil)
    #expect(board.ioRegister(0x32) == 0x8047)
  }

  @Test func theEOIRegisterFinishesAnEntryToo() {
    let board = TestBoard()
    board.setLocal(0xF0, 0x1FF | 1 << 12)
    board.redirect(18, 0x8048)
    let line = board.board.interruptLine(18)
    line.set(true)
    #expect(board.apic.acknowledge() == 0x48)
    board.setLocal(0xB0, 0)
    #expect(board.apic.pendingInterrupt == nil)
    board.board.write(0x48, to: TestBoard.ioAPIC + 0x40, size: 4, by: 0)
    #expect(board.apic.pendingInterrupt == 0x48)
  }

  @Test func theTimerIsAtInput2() {
    let board = TestBoard()
    board.redirect(2, 0x30)
    board.redirect(0, 0x31)
    board.board.interruptLine(0).set(true)
    #expect(board.apic.pendingInterrupt == 0x30)
  }

  @Test func lowestPriorityChoosesTheIdleProcessor() {
    let board = TestBoard(processors: 2)
    board.setLocal(0x80, 0x40)
    board.redirect(6, 0x156, destination: 0xFF)
    board.board.interruptLine(6).set(true)
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [nil, 0x56])
  }

  @Test func aMessageOfADeviceReachesItsProcessor() {
    let board = TestBoard(processors: 2)
    #expect(board.board.bus.deliver(address: 0xFEE0_1000, data: 0x4066))
    #expect(board.board.localAPICs.map(\.pendingInterrupt) == [nil, 0x66])
    #expect(!board.board.bus.deliver(address: 0xFED0_1000, data: 0x4066))
  }
}
