/// A 16550A UART whose line is always ready: what the guest sends goes to a sink at once, what the machine's user
/// types waits in a queue.
///
/// It raises no interrupt line yet; IIR reports what would be pending, which is what a polling guest reads.
/// Source: National Semiconductor, PC16550D data sheet, "Registers".
public final class SerialPort: PortDevice {
  /// The first port of COM1.
  public static let com1: UInt16 = 0x3F8
  /// The number of its ports.
  public static let portCount: UInt16 = 8

  /// The greatest number of bytes that wait to be read; further ones are lost, as on a real line.
  static let inputLimit = 4096

  private let sink: (UInt8) -> Void
  private var input: [UInt8] = []
  private var inputHead = 0
  private var interruptEnable: UInt8 = 0
  private var fifoControl: UInt8 = 0
  private var lineControl: UInt8 = 0
  private var modemControl: UInt8 = 0
  private var scratch: UInt8 = 0
  private var divisor: UInt16 = 12
  private var hasOverrun = false
  private var transmitterInterruptPending = false

  public init(sink: @escaping (UInt8) -> Void) { self.sink = sink }

  /// Puts `byte` on the receiving line.
  public func receive(_ byte: UInt8) {
    guard input.count - inputHead < Self.inputLimit else {
      hasOverrun = true
      return
    }
    input.append(byte)
  }

  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    var value: UInt32 = 0
    for byte in 0..<UInt16(size) {
      value |= UInt32(register(offset &+ byte)) << (UInt32(byte) &* 8)
    }
    return value
  }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    for byte in 0..<UInt16(size) {
      setRegister(offset &+ byte, UInt8(truncatingIfNeeded: value >> (UInt32(byte) &* 8)))
    }
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

  private var isDivisorLatchOpen: Bool { lineControl & 0x80 != 0 }
  private var isLoopback: Bool { modemControl & 0x10 != 0 }
  private var hasInput: Bool { inputHead < input.count }

  private func register(_ offset: UInt16) -> UInt8 {
    switch offset {
    case Register.data: isDivisorLatchOpen ? UInt8(truncatingIfNeeded: divisor) : takeInput()
    case Register.interruptEnable:
      isDivisorLatchOpen ? UInt8(truncatingIfNeeded: divisor >> 8) : interruptEnable
    case Register.interruptIdentification: identifyInterrupt()
    case Register.lineControl: lineControl
    case Register.modemControl: modemControl
    case Register.lineStatus: takeLineStatus()
    case Register.modemStatus: modemStatus
    case Register.scratch: scratch
    default: 0xFF
    }
  }

  private func setRegister(_ offset: UInt16, _ value: UInt8) {
    switch offset {
    case Register.data where isDivisorLatchOpen: divisor = divisor & 0xFF00 | UInt16(value)
    case Register.data: transmit(value)
    case Register.interruptEnable where isDivisorLatchOpen: divisor = divisor & 0xFF | UInt16(value) << 8
    case Register.interruptEnable:
      if value & ~interruptEnable & 2 != 0 { transmitterInterruptPending = true }
      interruptEnable = value & 0xF
    case Register.interruptIdentification: setFIFOControl(value)
    case Register.lineControl: lineControl = value
    case Register.modemControl: modemControl = value & 0x1F
    case Register.scratch: scratch = value
    default: break
    }
  }

  private func transmit(_ value: UInt8) {
    transmitterInterruptPending = true
    if isLoopback { receive(value) } else { sink(value) }
  }

  private func setFIFOControl(_ value: UInt8) {
    if value & 2 != 0 { dropInput() }
    fifoControl = value & 0xC9
  }

  private func takeInput() -> UInt8 {
    guard hasInput else { return 0 }
    let byte = input[inputHead]
    inputHead += 1
    if inputHead == input.count { dropInput() }
    return byte
  }

  private func dropInput() {
    input.removeAll(keepingCapacity: true)
    inputHead = 0
  }

  /// LSR: the transmitter is always empty; reading clears the overrun.
  private func takeLineStatus() -> UInt8 {
    let status: UInt8 = 0x60 | (hasInput ? 1 : 0) | (hasOverrun ? 2 : 0)
    hasOverrun = false
    return status
  }

  /// MSR: a carrier, a ready data set and clear to send; in loopback MCR's outputs (DTR, RTS, OUT1, OUT2) come back.
  private var modemStatus: UInt8 {
    guard isLoopback else { return 0xB0 }
    let dataTerminalReady = (modemControl & 1) << 5
    let requestToSend = (modemControl & 2) << 3
    return dataTerminalReady | requestToSend | (modemControl & 0xC) << 4
  }

  /// IIR: the pending interrupt of highest priority; reading it clears that of the empty transmitter.
  private func identifyInterrupt() -> UInt8 {
    let fifoBits: UInt8 = fifoControl & 1 != 0 ? 0xC0 : 0
    if interruptEnable & 4 != 0, hasOverrun { return fifoBits | 6 }
    if interruptEnable & 1 != 0, hasInput { return fifoBits | 4 }
    if interruptEnable & 2 != 0, transmitterInterruptPending {
      transmitterInterruptPending = false
      return fifoBits | 2
    }
    return fifoBits | 1
  }
}
