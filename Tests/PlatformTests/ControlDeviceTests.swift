import Platform
import Testing

/// What ends or resets a machine, and the keyboard controller.
@Suite struct ControlDeviceTests {
  @Test func thePMTimerCountsAtItsRate() {
    let board = TestBoard()
    #expect(board.input(0x608, size: 4) == 0)
    board.pass(1_000_000_000)
    #expect(board.input(0x608, size: 4) == 3_579_545)
    #expect(board.input(0x608, size: 2) == 3_579_545 & 0xFFFF)
  }

  @Test func s5PowersOff() {
    let board = TestBoard()
    #expect(board.input(0x604, size: 2) == 1)
    board.output(5 << 10, 0x604, size: 2)
    #expect(board.board.events.pending == nil)
    board.output(5 << 10 | 1 << 13, 0x604, size: 2)
    #expect(board.board.events.pending == .powerOff)
  }

  @Test func otherSleepTypesDoNothing() {
    let board = TestBoard()
    board.output(3 << 10 | 1 << 13, 0x604, size: 2)
    #expect(board.board.events.pending == nil)
  }

  @Test func thePowerButtonInterrupts() {
    let board = TestBoard()
    board.redirect(9, 0x8039)
    board.output(0x100, 0x602, size: 2)
    board.board.powerManagement.pressPowerButton()
    #expect(board.apic.acknowledge() == 0x39)
    #expect(board.input(0x600, size: 2) == 0x100)
    board.output(0x100, 0x600, size: 2)
    #expect(board.input(0x600, size: 2) == 0)
    board.setLocal(0xB0, 0)
    #expect(board.apic.pendingInterrupt == nil)
  }

  @Test func thePMTimersOverflowInterrupts() {
    let board = TestBoard()
    board.redirect(9, 0x8039)
    board.output(1, 0x602, size: 2)
    // 2^31 ticks.
    board.pass(599_900_000_000)
    #expect(board.apic.pendingInterrupt == nil)
    board.pass(100_000_000)
    #expect(board.apic.pendingInterrupt == 0x39)
  }

  @Test func theResetPortsReset() {
    for (port, value, request) in [
      (0xCF9, 0x06, ResetRequest.resetControl(powerCycle: false)),
      (0xCF9, 0x0E, .resetControl(powerCycle: true)), (0x92, 1, .systemControlPort),
      (0x64, 0xFE, .keyboardController),
    ] as [(UInt16, UInt32, ResetRequest)] {
      let board = TestBoard()
      board.output(value, port)
      #expect(board.board.events.take() == .reset(request))
      #expect(board.board.events.take() == nil)
    }
  }

  @Test func theDebugExitCarriesItsCode() {
    let board = TestBoard()
    board.output(0x31, 0xF4)
    #expect(board.board.events.pending == .guestExit(code: 0x31))
  }

  // MARK: Keyboard controller

  @Test func theKeyboardControllerTestsItself() {
    let board = TestBoard()
    board.output(0xAA, 0x64)
    #expect(board.input(0x64) & 1 == 1)
    #expect(board.input(0x60) == 0x55)
    #expect(board.input(0x64) & 1 == 0)
    board.output(0xAB, 0x64)
    #expect(board.input(0x60) == 0)
  }

  @Test func theCommandByteIsKept() {
    let board = TestBoard()
    board.output(0x60, 0x64)
    board.output(0x47, 0x60)
    board.output(0x20, 0x64)
    #expect(board.input(0x60) == 0x47)
  }

  @Test func nobodyAnswersAtTheKeyboard() {
    let board = TestBoard()
    board.redirect(1, 0x31)
    board.output(0x60, 0x64)
    board.output(0x01, 0x60)
    board.output(0xF2, 0x60)
    #expect(board.apic.pendingInterrupt == 0x31)
    #expect(board.input(0x64) & 0x41 == 0x41)
    #expect(board.input(0x60) == 0xFE)
  }

  @Test func theOutputPortResets() {
    let board = TestBoard()
    board.output(0xD1, 0x64)
    board.output(0xCE, 0x60)
    #expect(board.board.events.pending == .reset(.keyboardController))
  }
}
