/// The i8042 keyboard controller of a PC with one port, to which no keyboard is attached.
///
/// A byte sent to the keyboard is answered as the controller does when nobody takes it: FEH, and a time-out in the status.
/// The A20 line can be set and read, but addresses are never masked.
/// Source: Intel, UPI-42 keyboard controller conventions of the IBM PC/AT Technical Reference.
public final class KeyboardController {
  private struct Status: OptionSet {
    let rawValue: UInt8

    static let outputFull = Self(rawValue: 1 << 0)
    static let systemFlag = Self(rawValue: 1 << 2)
    static let command = Self(rawValue: 1 << 3)
    static let unlocked = Self(rawValue: 1 << 4)
    static let timeout = Self(rawValue: 1 << 6)
  }

  private enum Command {
    static let readMemory: ClosedRange<UInt8> = 0x20...0x3F
    static let writeMemory: ClosedRange<UInt8> = 0x60...0x7F
    static let disableAuxiliary: UInt8 = 0xA7
    static let enableAuxiliary: UInt8 = 0xA8
    static let testAuxiliary: UInt8 = 0xA9
    static let selfTest: UInt8 = 0xAA
    static let testKeyboard: UInt8 = 0xAB
    static let disableKeyboard: UInt8 = 0xAD
    static let enableKeyboard: UInt8 = 0xAE
    static let readInput: UInt8 = 0xC0
    static let readOutput: UInt8 = 0xD0
    static let writeOutput: UInt8 = 0xD1
    static let echoKeyboard: UInt8 = 0xD2
    static let echoAuxiliary: UInt8 = 0xD3
    static let writeAuxiliary: UInt8 = 0xD4
    static let readTestInputs: UInt8 = 0xE0
    static let pulseOutput: ClosedRange<UInt8> = 0xF0...0xFF
  }

  private enum Answer {
    static let selfTestPassed: UInt8 = 0x55
    static let interfaceWorks: UInt8 = 0x00
    /// "Clock line stuck low": there is no second port.
    static let interfaceFails: UInt8 = 0x01
    static let resend: UInt8 = 0xFE
  }

  /// The bits of the command byte: interrupt on output, system flag, keyboard disabled.
  private static let interruptEnable: UInt8 = 1 << 0
  private static let systemFlag: UInt8 = 1 << 2
  private static let keyboardDisabled: UInt8 = 1 << 4
  /// The bits of the output port: reset (low) and A20.
  private static let resetLine: UInt8 = 1 << 0
  private static let outputFullLine: UInt8 = 1 << 4
  /// The input port: the keyboard is not inhibited.
  private static let inputPort: UInt8 = 0x80

  private let events: MachineEvents
  private let line: InterruptLine
  private var status: Status = [.unlocked, .systemFlag]
  private var output: UInt8 = 0
  /// The controller's RAM, whose first byte is the command byte.
  private var memory: [UInt8] = [UInt8](repeating: 0, count: 32)
  private var outputPort: UInt8 = 0xCF
  /// The command whose data byte is to come.
  private var awaiting: UInt8?

  public init(events: MachineEvents, line: InterruptLine) {
    self.events = events
    self.line = line
    memory[0] = Self.interruptEnable | Self.systemFlag | Self.keyboardDisabled
  }

  private func put(_ byte: UInt8, timeout: Bool = false) {
    output = byte
    status.insert(.outputFull)
    if timeout { status.insert(.timeout) } else { status.remove(.timeout) }
    updateLine()
  }

  private func updateLine() {
    line.set(status.contains(.outputFull) && memory[0] & Self.interruptEnable != 0)
  }
}

// MARK: Data

extension KeyboardController {
  private func readData() -> UInt8 {
    status.remove([.outputFull, .timeout])
    updateLine()
    return output
  }

  private func writeData(_ value: UInt8) {
    status.remove(.command)
    guard let command = awaiting else {
      // Sending enables the keyboard's interface.
      memory[0] &= ~Self.keyboardDisabled
      put(Answer.resend, timeout: true)
      return
    }
    awaiting = nil
    switch command {
    case Command.writeMemory: setMemory(Int(command & 0x1F), value)
    case Command.writeOutput: setOutputPort(value)
    case Command.echoKeyboard, Command.echoAuxiliary: put(value)
    case Command.writeAuxiliary: put(Answer.resend, timeout: true)
    default: break
    }
  }

  private func setMemory(_ index: Int, _ value: UInt8) {
    memory[index] = value
    guard index == 0 else { return }
    if value & Self.systemFlag != 0 { status.insert(.systemFlag) } else { status.remove(.systemFlag) }
    updateLine()
  }

  private func setOutputPort(_ value: UInt8) {
    outputPort = value
    if value & Self.resetLine == 0 { events.post(.reset(.keyboardController)) }
  }
}

// MARK: Commands

extension KeyboardController {
  private func perform(_ command: UInt8) {
    status.insert(.command)
    awaiting = nil
    switch command {
    case Command.readMemory: put(memory[Int(command & 0x1F)])
    case Command.writeMemory, Command.writeOutput, Command.echoKeyboard, Command.echoAuxiliary,
      Command.writeAuxiliary:
      awaiting = command
    case Command.selfTest:
      status.insert(.systemFlag)
      put(Answer.selfTestPassed)
    case Command.testKeyboard: put(Answer.interfaceWorks)
    case Command.testAuxiliary: put(Answer.interfaceFails)
    case Command.disableKeyboard: memory[0] |= Self.keyboardDisabled
    case Command.enableKeyboard: memory[0] &= ~Self.keyboardDisabled
    case Command.readInput: put(Self.inputPort)
    case Command.readOutput:
      put(outputPort & ~Self.outputFullLine | (status.contains(.outputFull) ? Self.outputFullLine : 0))
    case Command.readTestInputs: put(0)
    case Command.pulseOutput:
      // A 0 in bits 3:0 pulses its line low.
      if command & Self.resetLine == 0 { events.post(.reset(.keyboardController)) }
    // There is no auxiliary port to enable or disable.
    case Command.disableAuxiliary, Command.enableAuxiliary: break
    default: break
    }
  }
}

// MARK: Ports

extension KeyboardController {
  /// The data or the command and status register.
  private final class Register: PortDevice {
    private let readByte: () -> UInt8
    private let writeByte: (UInt8) -> Void

    init(read: @escaping () -> UInt8, write: @escaping (UInt8) -> Void) {
      readByte = read
      writeByte = write
    }

    func read(offset: UInt16, size: UInt8) -> UInt32 { 0xFFFF_FF00 | UInt32(readByte()) }
    func write(_ value: UInt32, offset: UInt16, size: UInt8) { writeByte(UInt8(truncatingIfNeeded: value)) }
  }

  /// Port 60H.
  public var dataPort: any PortDevice {
    Register(read: { self.readData() }, write: { self.writeData($0) })
  }

  /// Port 64H.
  public var commandPort: any PortDevice {
    Register(read: { self.status.rawValue }, write: { self.perform($0) })
  }
}
