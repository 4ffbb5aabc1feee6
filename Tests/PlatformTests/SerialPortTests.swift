import Platform
import Testing

/// A UART at offset 0, and what it sent.
private final class Line {
  var sent: [UInt8] = []
  private(set) lazy var port = SerialPort { [unowned self] in sent.append($0) }

  subscript(offset: UInt16) -> UInt8 {
    get { UInt8(truncatingIfNeeded: port.read(offset: offset, size: 1)) }
    set { port.write(UInt32(newValue), offset: offset, size: 1) }
  }
}

@Suite struct SerialPortTests {
  @Test func whatIsWrittenIsSent() {
    let line = Line()
    for byte in "hi\n".utf8 {
      #expect(line[5] & 0x60 == 0x60)
      line[0] = byte
    }
    #expect(line.sent == Array("hi\n".utf8))
  }

  @Test func theDivisorLatchCoversDataAndInterruptEnable() {
    let line = Line()
    line[3] = 0x83
    line[0] = 0x01
    line[1] = 0x02
    #expect(line[0] == 0x01)
    #expect(line[1] == 0x02)
    line[3] = 0x03
    #expect(line.sent.isEmpty)
    #expect(line[1] == 0)
  }

  @Test func inputWaitsInOrder() {
    let line = Line()
    line[2] = 1
    #expect(line[5] & 1 == 0)
    line.port.receive([0x41, 0x42])
    #expect(line[5] & 1 == 1)
    #expect(line[0] == 0x41)
    #expect(line[0] == 0x42)
    #expect(line[5] & 1 == 0)
    #expect(line[0] == 0)
  }

  @Test func loopbackReturnsDataAndModemLines() {
    let line = Line()
    line[4] = 0x1F
    #expect(line[6] == 0xF0)
    line[4] = 0x12
    // DSR and DCD changed and RI ended; reading forgets that.
    #expect(line[6] == 0x1E)
    #expect(line[6] == 0x10)
    line[0] = 0xAE
    #expect(line.sent.isEmpty)
    #expect(line[0] == 0xAE)
  }

  @Test func anOverrunIsReportedOnce() {
    let line = Line()
    line.port.receive([1, 2])
    #expect(line[5] & 2 == 2)
    #expect(line[5] & 2 == 0)
    #expect(line[0] == 2)
    line[2] = 1
    line.port.receive(ArraySlice(1...17))
    #expect(line[5] & 2 == 2)
    #expect((1...16).map { _ in line[0] } == Array(1...16))
  }

  @Test func theInterruptIdentificationFollowsPriority() {
    let line = Line()
    #expect(line[2] == 1)
    line[1] = 3
    line.port.receive([7])
    #expect(line[2] == 4)
    #expect(line[0] == 7)
    #expect(line[2] == 2)
    #expect(line[2] == 1)
    line[2] = 1
    #expect(line[2] == 0xC1)
  }

  @Test func wideAndStrayAccessesAreAnswered() {
    let line = Line()
    line.port.write(0x5A00_0000, offset: 4, size: 4)
    #expect(line[7] == 0x5A)
    #expect(line.port.read(offset: 7, size: 4) == 0xFFFF_FF5A)
  }

  // MARK: Whether the guest listens

  @Test func aGuestThatOnlyPrintsDoesNotListen() {
    let line = Line()
    line[3] = 3
    line[4] = 3
    for byte in 0..<200 as Range<UInt8> {
      #expect(line[5] & 0x60 == 0x60)
      line[0] = byte
    }
    #expect(!line.port.isListening)
    #expect(line.port.room == 0)
  }

  @Test func interruptsForReceivedDataListen() {
    let line = Line()
    line[2] = 0xC1
    line[1] = 1
    #expect(!line.port.isListening)
    line[4] = 0xB
    #expect(line.port.isListening)
    #expect(line.port.room == 16)
    line.port.receive([1, 2, 3])
    #expect(line.port.room == 13)
    #expect(!line.port.isDrained)
    line[4] = 0x1B
    #expect(!line.port.isListening)
    line[4] = 0xB
    line[1] = 0
    #expect(!line.port.isListening)
  }

  /// RTS holds the sender back, but only in the hands of a guest that uses it.
  @Test func requestToSendHoldsBack() {
    let line = Line()
    line[1] = 1
    line[4] = 8
    #expect(line.port.isListening)
    line[4] = 0xA
    #expect(line.port.isListening)
    line[4] = 8
    #expect(!line.port.isListening)
    line[4] = 0xA
    #expect(line.port.isListening)
  }

  @Test func aGuestThatPollsListensAndGetsAByteAtATime() {
    let line = Line()
    func poll(_ count: Int) { for _ in 0..<count { _ = line[5] } }
    poll(63)
    #expect(!line.port.isListening)
    line[0] = 0x2E
    poll(63)
    #expect(!line.port.isListening)
    poll(1)
    #expect(line.port.isListening && line.port.isPolledInVain)
    line[2] = 1
    #expect(!line.port.isListening)
    poll(64)
    #expect(line.port.room == 1)
    line.port.receive([0x41])
    #expect(line.port.room == 0 && !line.port.isPolledInVain)
    // An echo does not make it deaf.
    line[0] = line[0]
    #expect(line.port.room == 1 && line.port.isPolledInVain)
  }

  @Test func activityCountsWhatIsSentAndTaken() {
    let line = Line()
    line[0] = 1
    line.port.receive([7])
    #expect(line.port.activity == 1)
    _ = line[0]
    _ = line[0]
    #expect(line.port.activity == 2)
  }
}
