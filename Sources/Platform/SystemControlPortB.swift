/// System control port B (61H): the gate of the timer's channel 2 and the speaker, channel 2's output, and the toggle that
/// memory refresh once made.
///
/// Source: the I/O controller hubs' data sheets, "NMI Status and Control Register".
public final class SystemControlPortB: PortDevice {
  private static let gate: UInt8 = 1 << 0
  private static let refresh: UInt8 = 1 << 4
  private static let timerOutput: UInt8 = 1 << 5
  /// Gate, speaker, and the two NMI source disables.
  private static let writable: UInt8 = 0x0F
  /// Ticks of the timer's input clock between two refreshes, 15 µs.
  private static let refreshPeriod: UInt64 = 18

  private let timer: IntervalTimer
  private let time: any MachineTime
  private var latch: UInt8 = 0

  public init(timer: IntervalTimer, time: any MachineTime) {
    self.timer = timer
    self.time = time
  }

  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    let ticks = time.ticks(at: time.cycles, rate: PlatformAddresses.intervalTimerFrequency)
    let toggle: UInt8 = ticks / Self.refreshPeriod & 1 != 0 ? Self.refresh : 0
    let output: UInt8 = timer.speakerOutput ? Self.timerOutput : 0
    return 0xFFFF_FF00 | UInt32(latch | toggle | output)
  }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    latch = UInt8(truncatingIfNeeded: value) & Self.writable
    timer.speakerGate = latch & Self.gate != 0
  }
}
