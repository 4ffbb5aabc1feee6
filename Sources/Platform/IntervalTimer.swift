/// The 8254 interval timer of a PC: channel 0 drives interrupt line 0, channel 1 stood for the refresh of memory, and
/// channel 2 is gated by system control port B, where its output is read.
///
/// Its channels do not count until software programs them.
/// Source: Intel, 82C54 data sheet.
public final class IntervalTimer {
  /// A counter, and the registers between it and the bus.
  private struct Channel {
    var counter: IntervalCounter
    /// The low byte of a count whose high byte has not come.
    var lowByte: UInt8?
    var latchedCount: UInt16?
    var latchedStatus: UInt8?
    /// Whether the high byte of a two-byte count is read next.
    var readsHigh = false
  }

  private let time: any MachineTime
  private let line: InterruptLine
  private var channels = [true, true, false].map { Channel(counter: IntervalCounter(gate: $0)) }
  private var isLineHigh = false
  public private(set) var deadline = UInt64.max

  public init(time: any MachineTime, line: InterruptLine) {
    self.time = time
    self.line = line
  }

  private func tick(at cycles: UInt64) -> Int64 {
    Int64(clamping: time.ticks(at: cycles, rate: PlatformAddresses.intervalTimerFrequency))
  }

  private var now: Int64 { tick(at: time.cycles) }

  /// Channel 2's output.
  public var speakerOutput: Bool { channels[2].counter.output(at: now) }

  /// Channel 2's gate.
  public var speakerGate: Bool {
    get { channels[2].counter.gate }
    set { channels[2].counter.setGate(newValue, at: now) }
  }
}

extension IntervalTimer: TimedDevice {
  public func advance(to now: UInt64) {
    guard deadline <= now else { return }
    setLine(false)
    setLine(true)
    update(at: tick(at: now))
  }

  /// Drives the line as channel 0's output is, and finds when that rises next. That it falls in between shows at the next
  /// access or rise.
  private func update(at now: Int64) {
    setLine(channels[0].counter.output(at: now))
    guard let rise = channels[0].counter.nextRise(after: now) else {
      deadline = .max
      return
    }
    deadline = time.cycles(
      ofTick: UInt64(clamping: rise), rate: PlatformAddresses.intervalTimerFrequency)
  }

  private func setLine(_ level: Bool) {
    guard level != isLineHigh else { return }
    isLineHigh = level
    line.set(level)
  }
}

// MARK: Ports

extension IntervalTimer: PortDevice {
  private static let controlOffset: UInt16 = 3

  public func read(offset: UInt16, size: UInt8) -> UInt32 {
    PortBytes.gather(size) { readByte(offset &+ $0) }
  }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    PortBytes.scatter(value, size) { writeByte($0, offset &+ $1) }
  }

  private func writeByte(_ value: UInt8, _ offset: UInt16) {
    let cycles = time.cycles
    advance(to: cycles)
    let now = tick(at: cycles)
    if offset == Self.controlOffset {
      writeControl(value, at: now)
    } else if offset < Self.controlOffset {
      writeCount(value, Int(offset), at: now)
    }
    update(at: now)
  }

  private func writeControl(_ value: UInt8, at now: Int64) {
    let channel = Int(value >> 6)
    guard channel < 3 else {
      readBack(value, at: now)
      return
    }
    guard let access = IntervalCounter.Access(rawValue: value >> 4 & 3) else {
      latchCount(channel, at: now)
      return
    }
    channels[channel].lowByte = nil
    channels[channel].latchedCount = nil
    channels[channel].latchedStatus = nil
    channels[channel].readsHigh = false
    channels[channel].counter.program(
      mode: value >> 1 & 7, access: access, isDecimal: value & 1 != 0, at: now)
  }

  /// The read-back command: bits 5 and 4, if 0, latch the count and the status of the channels in bits 3:1.
  private func readBack(_ value: UInt8, at now: Int64) {
    for channel in 0..<3 where value & 2 << channel != 0 {
      if value & 0x20 == 0 { latchCount(channel, at: now) }
      if value & 0x10 == 0, channels[channel].latchedStatus == nil {
        channels[channel].latchedStatus = channels[channel].counter.status(at: now)
      }
    }
  }

  /// A latched count stays until it is read.
  private func latchCount(_ channel: Int, at now: Int64) {
    guard channels[channel].latchedCount == nil else { return }
    channels[channel].latchedCount = channels[channel].counter.settledElement(at: now)
  }

  private func writeCount(_ value: UInt8, _ channel: Int, at now: Int64) {
    switch channels[channel].counter.access {
    case .low: channels[channel].counter.setCount(UInt16(value), at: now)
    case .high: channels[channel].counter.setCount(UInt16(value) << 8, at: now)
    case .both:
      guard let low = channels[channel].lowByte else {
        channels[channel].lowByte = value
        channels[channel].counter.beginCount(at: now)
        return
      }
      channels[channel].lowByte = nil
      channels[channel].counter.setCount(UInt16(value) << 8 | UInt16(low), at: now)
    }
  }

  private func readByte(_ offset: UInt16) -> UInt8 {
    guard offset < Self.controlOffset else { return offset == Self.controlOffset ? 0 : 0xFF }
    let channel = Int(offset)
    if let status = channels[channel].latchedStatus {
      channels[channel].latchedStatus = nil
      return status
    }
    let count = channels[channel].latchedCount ?? channels[channel].counter.settledElement(at: now)
    let access = channels[channel].counter.access
    let isHigh = access == .high || (access == .both && channels[channel].readsHigh)
    if access == .both { channels[channel].readsHigh.toggle() }
    if access != .both || isHigh { channels[channel].latchedCount = nil }
    return UInt8(truncatingIfNeeded: isHigh ? count >> 8 : count)
  }
}
