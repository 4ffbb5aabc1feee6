/// The registers of a local APIC's timer.
///
/// The counter is never stored: it follows from the crystal's tick at which it held the initial count.
struct APICTimer {
  var initialCount: UInt32 = 0
  /// The divide configuration register: bits 3, 1 and 0.
  var divideConfiguration: UInt32 = 0
  /// Whether the counter counts.
  var isCounting = false
  /// The tick of the crystal at which the counter held the initial count.
  var startTick: UInt64 = 0
  /// IA32_TSC_DEADLINE; 0 while disarmed.
  var timeStampCounterDeadline: UInt64 = 0

  /// The crystal's ticks to one of the counter (SDM volume 3, "Divide Configuration Register").
  var divisor: UInt64 {
    let code = divideConfiguration >> 1 & 4 | divideConfiguration & 3
    return code == 7 ? 1 : 2 << UInt64(code)
  }

  /// The crystal's ticks from the initial count to 0.
  var period: UInt64 { UInt64(initialCount) &* divisor }
}

/// SDM volume 3, "APIC Timer".
extension LocalAPIC: TimedDevice {
  private enum TimerMode {
    case oneShot
    case periodic
    case deadline
  }

  /// Bits 18:17 of an LVT timer entry; the reserved combination counts as one-shot.
  private static func timerMode(_ entry: UInt32) -> TimerMode {
    switch entry >> 17 & 3 {
    case 1: .periodic
    case 2: .deadline
    default: .oneShot
    }
  }

  private var timerMode: TimerMode { Self.timerMode(registers.localVector(.timer)) }

  var isTimerInDeadlineMode: Bool { timerMode == .deadline }

  private func tick(at cycles: UInt64) -> UInt64 {
    bus.time.ticks(at: cycles, rate: PlatformAddresses.crystalFrequency)
  }

  /// Expires the timer if it is due.
  public func advance(to now: UInt64) {
    guard deadline <= now else { return }
    switch timerMode {
    case .oneShot: timer.isCounting = false
    case .periodic:
      let elapsed = tick(at: now) &- timer.startTick
      timer.startTick &+= elapsed &- elapsed % max(timer.period, 1)
    case .deadline: timer.timeStampCounterDeadline = 0
    }
    armTimer()
    raise(.timer)
  }

  /// Finds anew when the timer expires.
  func armTimer() {
    switch timerMode {
    case .deadline: deadline = deadlineCycle
    case .oneShot, .periodic:
      deadline =
        timer.isCounting
        ? bus.time.cycles(
          ofTick: timer.startTick &+ timer.period, rate: PlatformAddresses.crystalFrequency)
        : .max
    }
  }

  /// The cycle at which the processor's time-stamp counter reaches the deadline: now, if it is past.
  private var deadlineCycle: UInt64 {
    let target = timer.timeStampCounterDeadline
    guard target != 0 else { return .max }
    let now = bus.time.cycles
    let counter = now &+ timeStampCounterOffset
    guard target > counter else { return now }
    let (cycle, overflow) = now.addingReportingOverflow(target &- counter)
    return overflow ? .max : cycle
  }

  // MARK: Registers

  func currentCount() -> UInt32 {
    let now = bus.time.cycles
    advance(to: now)
    guard timer.isCounting, timerMode != .deadline else { return 0 }
    let counted = (tick(at: now) &- timer.startTick) / timer.divisor
    return counted >= UInt64(timer.initialCount)
      ? 0 : timer.initialCount &- UInt32(truncatingIfNeeded: counted)
  }

  func setInitialCount(_ value: UInt32) {
    guard timerMode != .deadline else { return }
    let now = bus.time.cycles
    advance(to: now)
    timer.initialCount = value
    timer.startTick = tick(at: now)
    timer.isCounting = value != 0
    armTimer()
  }

  /// Writes the divide configuration: a running counter goes on from where it is, at its new rate.
  func setDivideConfiguration(_ value: UInt32) {
    let count = currentCount()
    timer.divideConfiguration = value & 0xB
    guard timer.isCounting, timerMode != .deadline else { return }
    let counted = UInt64(timer.initialCount &- count)
    timer.startTick = tick(at: bus.time.cycles) &- counted &* timer.divisor
    armTimer()
  }

  /// The LVT entry was written: a change to or from TSC-deadline mode disarms the timer; one between the counting modes
  /// does not touch the count.
  func timerEntryChanged(from old: UInt32) {
    if (Self.timerMode(old) == .deadline) != (timerMode == .deadline) {
      timer.isCounting = false
      timer.initialCount = 0
      timer.timeStampCounterDeadline = 0
    }
    armTimer()
  }

  func timeStampCounterDeadline() -> UInt64 {
    advance(to: bus.time.cycles)
    return isTimerInDeadlineMode ? timer.timeStampCounterDeadline : 0
  }

  func setTimeStampCounterDeadline(_ value: UInt64) {
    guard isTimerInDeadlineMode else { return }
    timer.timeStampCounterDeadline = value
    armTimer()
    advance(to: bus.time.cycles)
  }
}
