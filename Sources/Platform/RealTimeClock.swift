/// The real-time clock of a PC with its 128 bytes of CMOS memory: MC146818, driven by a 32,768-Hz crystal.
///
/// It starts at a given date and goes on in the machine's time. Its registers change at once at the end of an update, so
/// no reader sees half of one; UIP announces it as the data sheet says.
/// Source: Motorola, MC146818 data sheet.
public final class RealTimeClock {
  private enum Register {
    static let a = 0x0A
    static let b = 0x0B
    static let c = 0x0C
    static let d = 0x0D
  }

  /// The interrupt enables of register B and, in the same places, the flags of register C.
  private struct Sources: OptionSet {
    let rawValue: UInt8

    static let update = Self(rawValue: 1 << 4)
    static let alarm = Self(rawValue: 1 << 5)
    static let periodic = Self(rawValue: 1 << 6)
    static let all: Self = [.update, .alarm, .periodic]
  }

  private static let rate: UInt64 = 32_768
  /// Ticks before the end of an update at which UIP rises: 244 µs, and the 1984 µs that an update takes.
  private static let updateInProgress: UInt64 = 8 + 65
  private static let updateInProgressFlag: UInt8 = 1 << 7
  private static let dividerReset: UInt8 = 0x60
  private static let setFlag: UInt8 = 1 << 7
  private static let binaryFlag: UInt8 = 1 << 2
  private static let hours24Flag: UInt8 = 1 << 1
  private static let interruptFlag: UInt8 = 1 << 7
  private static let validRAM: UInt8 = 1 << 7

  private let time: any MachineTime
  private let line: InterruptLine
  /// Told when an alarm interrupts, beside the line.
  private let noteAlarm: () -> Void
  private var isAlarmRaised = false
  private var index = 0
  private var registers = ClockRegisters()
  /// A 32,768-Hz crystal, and 1024 interrupts per second if they are enabled.
  private var registerA: UInt8 = 0x26
  private var registerB: UInt8 = hours24Flag
  private var flags: Sources = []
  /// The crystal's tick at which the current second began.
  private var secondStart: UInt64
  /// The tick up to which everything was accounted for.
  private var seen: UInt64
  public private(set) var deadline = UInt64.max

  /// A clock that now says `start` seconds since 1970-01-01T00:00:00, and has the CMOS `memory` of 114 bytes from 0EH;
  /// `noteAlarm` is told when its alarm interrupts.
  public init(
    time: any MachineTime, line: InterruptLine, start: Int64, memory: ClockMemory,
    noteAlarm: @escaping () -> Void = {}
  ) {
    self.time = time
    self.line = line
    self.noteAlarm = noteAlarm
    secondStart = time.ticks(at: time.cycles, rate: Self.rate)
    seen = secondStart
    memory.write(to: &registers)
    let now = CalendarTime(secondsSince1970: start)
    registers.setTime(now)
    registers.setDayOfWeek(now.dayOfWeek)
  }
}

// MARK: Time

extension RealTimeClock: TimedDevice {
  public func advance(to now: UInt64) {
    if deadline <= now { update(at: now) }
  }

  private var isDividerReset: Bool { registerA & Self.dividerReset == Self.dividerReset }
  private var isSetting: Bool { registerB & Self.setFlag != 0 }
  private var enabled: Sources { Sources(rawValue: registerB).intersection(.all) }

  /// The ticks between two periodic interrupts, or 0 for none (data sheet, table "Periodic Interrupt Rate").
  private var period: UInt64 {
    switch registerA & 0xF {
    case 0: 0
    case 1: 128
    case 2: 256
    case let selection: 1 << UInt64(selection - 1)
    }
  }

  /// Lets the clock be what it is at `now`.
  private func update(at now: UInt64) {
    let tick = time.ticks(at: now, rate: Self.rate)
    if !isDividerReset {
      passPeriods(until: tick)
      passSeconds(until: tick)
    }
    seen = tick
    line.set(!flags.isDisjoint(with: enabled))
    raiseAlarm()
    deadline = nextCycle
  }

  private func raiseAlarm() {
    let isRaised = flags.contains(.alarm) && enabled.contains(.alarm)
    if isRaised, !isAlarmRaised { noteAlarm() }
    isAlarmRaised = isRaised
  }

  private func passPeriods(until tick: UInt64) {
    let period = period
    guard period > 0 else { return }
    if (tick &- secondStart) / period != (seen &- secondStart) / period { flags.insert(.periodic) }
  }

  private func passSeconds(until tick: UInt64) {
    let seconds = (tick &- secondStart) / Self.rate
    guard seconds > 0 else { return }
    secondStart &+= seconds &* Self.rate
    guard !isSetting else { return }
    let passed = Int64(clamping: seconds)
    flags.insert(.update)
    if let distance = registers.secondsToAlarm, distance <= passed { flags.insert(.alarm) }
    registers.advance(by: passed)
  }

  /// When the next interrupt that is enabled, and not yet flagged, comes.
  private var nextCycle: UInt64 {
    let waiting = enabled.subtracting(flags)
    guard !isDividerReset, !waiting.isEmpty, flags.isDisjoint(with: enabled) else { return .max }
    var ticks = UInt64.max
    if waiting.contains(.periodic), period > 0 {
      ticks = min(ticks, (seen &- secondStart) / period &* period &+ period)
    }
    if !isSetting {
      if waiting.contains(.update) { ticks = min(ticks, Self.rate) }
      if waiting.contains(.alarm), let distance = registers.secondsToAlarm {
        ticks = min(ticks, UInt64(distance) &* Self.rate)
      }
    }
    return ticks == .max ? .max : time.cycles(ofTick: secondStart &+ ticks, rate: Self.rate)
  }
}

// MARK: Ports

extension RealTimeClock: PortDevice {
  /// The index register at offset 0 cannot be read; the data register is at offset 1.
  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    PortBytes.gather(size) { offset &+ $0 == 1 ? value(at: index) : 0xFF }
  }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    PortBytes.scatter(value, size) { byte, position in
      switch offset &+ position {
      // Bit 7 masks NMIs, of which this board has none.
      case 0: index = Int(byte & 0x7F)
      case 1: setValue(byte, at: index)
      default: break
      }
    }
  }

  private func value(at index: Int) -> UInt8 {
    update(at: time.cycles)
    switch index {
    case Register.a: return registerA | (isUpdateInProgress ? Self.updateInProgressFlag : 0)
    case Register.b: return registerB
    case Register.c: return takeFlags()
    case Register.d: return Self.validRAM
    default: return registers.bytes[index]
    }
  }

  private var isUpdateInProgress: Bool {
    !isSetting && !isDividerReset && seen &- secondStart >= Self.rate - Self.updateInProgress
  }

  /// Register C: reading it clears the flags.
  private func takeFlags() -> UInt8 {
    let interrupt = flags.isDisjoint(with: enabled) ? 0 : Self.interruptFlag
    defer {
      flags = []
      update(at: time.cycles)
    }
    return flags.rawValue | interrupt
  }

  private func setValue(_ value: UInt8, at index: Int) {
    let now = time.cycles
    update(at: now)
    switch index {
    case Register.a: setRegisterA(value)
    case Register.b: setRegisterB(value)
    case Register.c, Register.d: break
    default: registers.bytes[index] = value
    }
    update(at: now)
  }

  private func setRegisterA(_ value: UInt8) {
    let wasReset = isDividerReset
    registerA = value & ~Self.updateInProgressFlag
    // The first update comes half a second after the divider is let go.
    if wasReset, !isDividerReset { secondStart = seen &- Self.rate / 2 }
  }

  /// Setting the time forbids the interrupt of updates that do not happen.
  private func setRegisterB(_ value: UInt8) {
    registerB = value & Self.setFlag != 0 ? value & ~Sources.update.rawValue : value
    registers.isBinary = value & Self.binaryFlag != 0
    registers.is24Hour = value & Self.hours24Flag != 0
  }
}
