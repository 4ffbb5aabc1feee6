/// A 16550A UART whose line is always ready and makes no errors: what the guest sends goes to a sink at once.
///
/// A character time-out is reported as soon as anything waits below the trigger level.
/// Source: National Semiconductor, PC16550D data sheet, "Registers".
public final class SerialPort: PortDevice {
  /// The first port of COM1.
  public static let com1: UInt16 = 0x3F8
  /// The number of its ports.
  public static let portCount: UInt16 = 8

  /// The reads of LSR that find nothing, with nothing sent between them, after which a guest counts as one that waits for
  /// input.
  private static let pollsOfAListener = 64

  private let sink: (UInt8) -> Void
  private let line: InterruptLine?
  private var receiver = SerialReceiver()
  private var interruptEnable: InterruptEnable = []
  private var lineControl: UInt8 = 0
  private var modemControl: ModemControl = []
  private var scratch: UInt8 = 0
  private var divisor: UInt16 = 12
  /// The changes of the modem's lines since MSR was read: its bits 3:0.
  private var modemChanges: UInt8 = 0
  private var isTransmitterInterruptPending = false
  /// The reads of LSR that have found nothing, up to ``pollsOfAListener``, where they stay until the port is set up anew.
  private var vainPolls = 0
  /// Whether the guest has ever raised RTS, which says from then on whether it wants to be sent anything.
  private var usesRequestToSend = false
  public private(set) var activity: UInt64 = 0

  /// A port that drives `line`, if it is wired, and sends to `sink`.
  public init(line: InterruptLine? = nil, sink: @escaping (UInt8) -> Void) {
    self.line = line
    self.sink = sink
  }

  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    PortBytes.gather(size) { register(offset &+ $0) }
  }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    PortBytes.scatter(value, size) { setRegister(offset &+ $1, $0) }
  }
}

// MARK: Registers

extension SerialPort {
  /// The registers by offset; DLL and DLM take the place of the first two while DLAB is set.
  private enum Register {
    static let data: UInt16 = 0
    static let interruptEnable: UInt16 = 1
    static let interruptIdentification: UInt16 = 2
    static let lineControl: UInt16 = 3
    static let modemControl: UInt16 = 4
    static let lineStatus: UInt16 = 5
    static let modemStatus: UInt16 = 6
    static let scratch: UInt16 = 7
  }

  private struct InterruptEnable: OptionSet {
    let rawValue: UInt8

    static let receivedData = Self(rawValue: 1)
    static let transmitterEmpty = Self(rawValue: 2)
    static let lineStatus = Self(rawValue: 4)
    static let modemStatus = Self(rawValue: 8)
  }

  private struct ModemControl: OptionSet {
    let rawValue: UInt8

    static let requestToSend = Self(rawValue: 2)
    static let output2 = Self(rawValue: 8)
    static let loopback = Self(rawValue: 0x10)
  }

  private static let divisorLatchAccess: UInt8 = 0x80
  /// LSR: the transmitter's holding and shift registers are empty.
  private static let transmitterEmpty: UInt8 = 0x60
  /// MSR: a carrier, a ready data set, clear to send.
  private static let connected: UInt8 = 0xB0

  private var isDivisorLatchOpen: Bool { lineControl & Self.divisorLatchAccess != 0 }
  private var isLoopback: Bool { modemControl.contains(.loopback) }

  private func register(_ offset: UInt16) -> UInt8 {
    switch offset {
    case Register.data: isDivisorLatchOpen ? UInt8(truncatingIfNeeded: divisor) : takeData()
    case Register.interruptEnable:
      isDivisorLatchOpen ? UInt8(truncatingIfNeeded: divisor >> 8) : interruptEnable.rawValue
    case Register.interruptIdentification: identifyInterrupt()
    case Register.lineControl: lineControl
    case Register.modemControl: modemControl.rawValue
    case Register.lineStatus: takeLineStatus()
    case Register.modemStatus: takeModemStatus()
    case Register.scratch: scratch
    default: 0xFF
    }
  }

  private func setRegister(_ offset: UInt16, _ value: UInt8) {
    switch offset {
    case Register.data where isDivisorLatchOpen: divisor = divisor & 0xFF00 | UInt16(value)
    case Register.data: transmit(value)
    case Register.interruptEnable where isDivisorLatchOpen: divisor = divisor & 0xFF | UInt16(value) << 8
    case Register.interruptEnable: setInterruptEnable(InterruptEnable(rawValue: value & 0xF))
    case Register.interruptIdentification: setFIFOControl(value)
    case Register.lineControl: setLineControl(value)
    case Register.modemControl: setModemControl(ModemControl(rawValue: value & 0x1F))
    case Register.scratch: scratch = value
    default: return
    }
    updateLine()
  }

  /// Sends a byte. It is gone at once, so the transmitter's interrupt goes away and comes back.
  private func transmit(_ value: UInt8) {
    isTransmitterInterruptPending = false
    updateLine()
    isTransmitterInterruptPending = true
    guard !isLoopback else { return receiver.put(value) }
    sink(value)
    activity &+= 1
    if vainPolls < Self.pollsOfAListener { vainPolls = 0 }
  }

  private func setFIFOControl(_ value: UInt8) {
    vainPolls = 0
    receiver.setControl(value)
  }

  private func setLineControl(_ value: UInt8) {
    vainPolls = 0
    lineControl = value
  }

  private func setInterruptEnable(_ value: InterruptEnable) {
    vainPolls = 0
    if value.subtracting(interruptEnable).contains(.transmitterEmpty) { isTransmitterInterruptPending = true }
    interruptEnable = value
  }

  private func setModemControl(_ value: ModemControl) {
    let before = modemLines
    modemControl = value
    if !isLoopback, value.contains(.requestToSend) { usesRequestToSend = true }
    let changed = before ^ modemLines
    // The ring indicator (bit 6) counts only as it goes away.
    let ringEnded = changed & before & 0x40
    modemChanges |= (changed & 0xB0 | ringEnded) >> 4
  }

  private func takeData() -> UInt8 {
    if receiver.count > 0 { activity &+= 1 }
    let byte = receiver.take()
    updateLine()
    return byte
  }

  /// LSR: reading clears the overrun.
  private func takeLineStatus() -> UInt8 {
    if receiver.count == 0, vainPolls < Self.pollsOfAListener { vainPolls += 1 }
    let status = Self.transmitterEmpty | (receiver.count > 0 ? 1 : 0) | (receiver.hasOverrun ? 2 : 0)
    receiver.hasOverrun = false
    updateLine()
    return status
  }

  /// The modem's lines as MSR's bits 7:4 show them; in loopback MCR's outputs (DTR, RTS, OUT1, OUT2) come back.
  private var modemLines: UInt8 {
    guard isLoopback else { return Self.connected }
    let outputs = modemControl.rawValue
    let dataTerminalReady = (outputs & 1) << 5
    let requestToSend = (outputs & 2) << 3
    return dataTerminalReady | requestToSend | (outputs & 0xC) << 4
  }

  private func takeModemStatus() -> UInt8 {
    defer {
      modemChanges = 0
      updateLine()
    }
    return modemLines | modemChanges
  }
}

// MARK: Input

extension SerialPort: ConsolePort {
  /// A guest listens once it has the UART interrupt it for received data, or has looked for such data long enough. An
  /// operating system that only prints does neither; and what it finds in the FIFO when it begins to listen, it drops.
  public var isListening: Bool {
    guard !isLoopback, !usesRequestToSend || modemControl.contains(.requestToSend) else { return false }
    return takesInterrupts || isPolled
  }

  private var takesInterrupts: Bool {
    interruptEnable.contains(.receivedData) && modemControl.contains(.output2)
  }
  private var isPolled: Bool { vainPolls == Self.pollsOfAListener }

  public var isPolledInVain: Bool { isPolled && receiver.count == 0 }

  /// A guest that polls gets a byte at a time: it may stop at any moment.
  public var room: Int {
    guard isListening else { return 0 }
    return takesInterrupts ? receiver.room : receiver.count == 0 ? 1 : 0
  }

  public var isDrained: Bool { receiver.count == 0 }

  public func receive(_ bytes: ArraySlice<UInt8>) {
    for byte in bytes { receiver.put(byte) }
    updateLine()
  }
}

// MARK: Interrupts

extension SerialPort {
  /// The interrupts as IIR's bits 3:0 identify them.
  private enum Interrupt: UInt8 {
    case none = 1
    case lineStatus = 6
    case receivedData = 4
    case characterTimeout = 0xC
    case transmitterEmpty = 2
    case modemStatus = 0
  }

  /// The pending interrupt of highest priority.
  private var interrupt: Interrupt {
    if interruptEnable.contains(.lineStatus), receiver.hasOverrun { return .lineStatus }
    if interruptEnable.contains(.receivedData), receiver.count > 0 {
      return receiver.hasReachedTrigger ? .receivedData : .characterTimeout
    }
    if interruptEnable.contains(.transmitterEmpty), isTransmitterInterruptPending {
      return .transmitterEmpty
    }
    return interruptEnable.contains(.modemStatus) && modemChanges != 0 ? .modemStatus : .none
  }

  /// IIR: reading it clears the interrupt of the empty transmitter, if that is what it shows.
  private func identifyInterrupt() -> UInt8 {
    let current = interrupt
    if current == .transmitterEmpty {
      isTransmitterInterruptPending = false
      updateLine()
    }
    return current.rawValue | (receiver.isFIFO ? 0xC0 : 0)
  }

  /// On a PC, OUT2 connects the UART to its interrupt line; loopback holds it inactive.
  private func updateLine() {
    line?.set(interrupt != .none && modemControl.contains(.output2) && !isLoopback)
  }
}
