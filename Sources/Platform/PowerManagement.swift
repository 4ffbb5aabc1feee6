/// ACPI's fixed hardware: the PM1a event and control blocks and the power-management timer, in ACPI mode from the start.
///
/// Source: ACPI Specification, "ACPI Hardware Specification", "Fixed Hardware".
public final class PowerManagement {
  /// The bits that the status and the enable register share.
  struct Events: OptionSet {
    let rawValue: UInt16

    static let timer = Self(rawValue: 1 << 0)
    static let global = Self(rawValue: 1 << 5)
    static let powerButton = Self(rawValue: 1 << 8)
    static let realTimeClock = Self(rawValue: 1 << 10)
    static let wake = Self(rawValue: 1 << 15)

    static let enableable: Self = [.timer, .global, .powerButton, .realTimeClock]
    static let all: Self = [.timer, .global, .powerButton, .realTimeClock, .wake]
  }

  private enum Offset {
    static let status: UInt16 = 0
    static let enable: UInt16 = 2
    static let control: UInt16 = 4
    static let timer: UInt16 = 8
  }

  /// SCI_EN, always set: there is no mode in which events are SMIs.
  private static let interruptsEnabled: UInt16 = 1
  private static let sleepEnable: UInt16 = 1 << 13
  /// BM_RLD and SLP_TYP keep what is written.
  private static let controlWritable: UInt16 = 0x1C02
  /// The timer is 32 bits wide; its status is set when the uppermost changes.
  private static let halfRange: UInt64 = 1 << 31

  private let time: any MachineTime
  private let events: MachineEvents
  private let line: InterruptLine
  private var status: Events = []
  private var enabled: Events = []
  private var control: UInt16 = 0
  /// The half ranges of the timer that ended when its status was last looked at.
  private var halvesSeen: UInt64 = 0
  public private(set) var deadline = UInt64.max

  public init(time: any MachineTime, events: MachineEvents, line: InterruptLine) {
    self.time = time
    self.events = events
    self.line = line
  }

  /// The user presses the power button, by which an operating system is asked to shut down.
  public func pressPowerButton() { raise(.powerButton) }

  /// The real-time clock's alarm interrupts.
  func noteAlarm() { raise(.realTimeClock) }

  private func raise(_ event: Events) {
    status.insert(event)
    update(at: time.cycles)
  }

  private func ticks(at cycles: UInt64) -> UInt64 {
    time.ticks(at: cycles, rate: PlatformAddresses.powerManagementTimerFrequency)
  }

  private func update(at now: UInt64) {
    let halves = ticks(at: now) / Self.halfRange
    if halves != halvesSeen { status.insert(.timer) }
    halvesSeen = halves
    line.set(!status.isDisjoint(with: enabled))
    let waits = enabled.contains(.timer) && !status.contains(.timer)
    deadline =
      waits
      ? time.cycles(
        ofTick: (halves &+ 1) &* Self.halfRange, rate: PlatformAddresses.powerManagementTimerFrequency)
      : .max
  }
}

extension PowerManagement: TimedDevice {
  public func advance(to now: UInt64) {
    if deadline <= now { update(at: now) }
  }
}

// MARK: Ports

extension PowerManagement: PortDevice {
  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    if offset == Offset.timer, size == 4 { return UInt32(truncatingIfNeeded: ticks(at: time.cycles)) }
    update(at: time.cycles)
    return PortBytes.gather(size) { position in
      let place = offset &+ position
      return UInt8(truncatingIfNeeded: word(at: place & ~1) >> (place & 1 &* 8))
    }
  }

  private func word(at offset: UInt16) -> UInt16 {
    switch offset {
    case Offset.status: status.rawValue
    case Offset.enable: enabled.rawValue
    case Offset.control: control | Self.interruptsEnabled
    case Offset.timer: UInt16(truncatingIfNeeded: ticks(at: time.cycles))
    case Offset.timer + 2: UInt16(truncatingIfNeeded: ticks(at: time.cycles) >> 16)
    default: 0
    }
  }

  /// The bytes of a write change their own registers alone, and a control write sleeps at the byte that holds SLP_EN.
  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    update(at: time.cycles)
    PortBytes.scatter(value, size) { byte, position in
      let place = offset &+ position
      let shift = place & 1 &* 8
      setWord(at: place & ~1, bits: UInt16(byte) << shift, mask: 0xFF << shift)
    }
    update(at: time.cycles)
  }

  private func setWord(at offset: UInt16, bits: UInt16, mask: UInt16) {
    switch offset {
    case Offset.status: status.subtract(Events(rawValue: bits))
    case Offset.enable:
      enabled = Events(rawValue: enabled.rawValue & ~mask | bits).intersection(.enableable)
    case Offset.control:
      control = (control & ~mask | bits) & Self.controlWritable
      if bits & Self.sleepEnable != 0 { sleep() }
    default: break
    }
  }

  /// SLP_EN: S5 ends the run. A machine without firmware wakes from no other state, so it does not enter one.
  private func sleep() {
    if control >> 10 & 7 == UInt16(PlatformAddresses.softOffSleepType) { events.post(.powerOff) }
  }
}
