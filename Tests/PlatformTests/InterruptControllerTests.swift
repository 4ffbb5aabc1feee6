import Platform
import Testing

/// Intel, 8259A data sheet, as the two chips of a PC reach LINT0.
@Suite struct InterruptControllerTests {
  @Test func theInitializationSetsTheVectors() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 1 << 3 | 1 << 2 | 1 << 12)
    board.board.interruptLine(3).set(true)
    #expect(board.apic.pendingInterrupt == 0x23)
    #expect(board.apic.acknowledge() == 0x23)
    board.output(0x20, 0x20)
    board.board.interruptLine(12).set(true)
    #expect(board.apic.acknowledge() == 0x2C)
    board.output(0x0B, 0x20)
    #expect(board.input(0x20) == 1 << 2)
    board.output(0x0B, 0xA0)
    #expect(board.input(0xA0) == 1 << 4)
  }

  @Test func maskedLinesWait() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 0)
    board.board.interruptLine(4).set(true)
    #expect(!board.apic.hasPendingInterrupt)
    board.output(0x0A, 0x20)
    #expect(board.input(0x20) == 1 << 4)
    board.output(0xEF, 0x21)
    #expect(board.apic.acknowledge() == 0x24)
    #expect(board.input(0x21) == 0xEF)
  }

  @Test func lowerLinesComeFirstAndHigherOnesWaitForEOI() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 0xFF)
    board.board.interruptLine(5).set(true)
    board.board.interruptLine(3).set(true)
    #expect(board.apic.acknowledge() == 0x23)
    #expect(!board.apic.hasPendingInterrupt)
    board.board.interruptLine(1).set(true)
    #expect(board.apic.acknowledge() == 0x21)
    board.output(0x61, 0x20)
    #expect(!board.apic.hasPendingInterrupt)
    board.output(0x63, 0x20)
    #expect(board.apic.acknowledge() == 0x25)
  }

  @Test func rotationMakesTheServedLineTheLast() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 0xFF)
    board.board.interruptLine(3).set(true)
    #expect(board.apic.acknowledge() == 0x23)
    board.output(0xA0, 0x20)
    board.board.interruptLine(1).set(true)
    board.board.interruptLine(5).set(true)
    #expect(board.apic.acknowledge() == 0x25)
  }

  @Test func aLevelThatIsGoneIsSpurious() {
    let board = TestBoard()
    board.initialise8259s(unmasked: 1 << 5)
    board.output(1 << 5, 0x4D0)
    #expect(board.input(0x4D0) == 1 << 5)
    board.board.interruptLine(5).set(true)
    #expect(board.apic.pendingInterrupt == 0x25)
    board.board.interruptLine(5).set(false)
    #expect(!board.apic.hasPendingInterrupt)
  }

  @Test func theTimersLineIsAlwaysAnEdge() {
    let board = TestBoard()
    board.output(0xFF, 0x4D0)
    board.output(0xFF, 0x4D1)
    #expect(board.input(0x4D0) == 0xF8)
    #expect(board.input(0x4D1) == 0xDE)
  }
}
