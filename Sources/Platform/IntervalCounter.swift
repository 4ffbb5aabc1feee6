/// One counter of an 8254, as a function of its input clock: nothing is stored per tick.
///
/// Times are ticks of the input clock. A count that is written is loaded at the next tick. A count of 1 in modes 2 and 3,
/// which the data sheet forbids, leaves the output high.
/// Source: Intel, 82C54 data sheet, "Mode Definitions".
struct IntervalCounter {
  /// Which bytes of the count are read and written (RW1 and RW0).
  enum Access: UInt8 {
    case low = 1
    case high = 2
    case both = 3
  }

  /// A count that waits for the end of a period (mode 2) or half period (mode 3).
  private struct PendingCount {
    var tick: Int64
    var count: Int64
    /// Whether the output rises at `tick`.
    var isRise: Bool
  }

  private(set) var mode: UInt8 = 3
  private(set) var access = Access.both
  private(set) var isDecimal = false
  /// The count that is being counted down.
  private var count: Int64 = 0x1_0000
  /// The tick at which the counting element held ``count``.
  private var start: Int64 = 0
  /// How far it had counted when the gate stopped it (modes 0 and 4).
  private var stoppedAt: Int64?
  private var isCounting = false
  /// Whether a count was written since the control word.
  private var hasCount = false
  private var pending: PendingCount?
  /// What the counting element holds while it does not count.
  private var idleElement: UInt16 = 0
  private(set) var gate: Bool

  init(gate: Bool) { self.gate = gate }

  /// The counts there are: the value of a count of 0.
  private var modulus: Int64 { isDecimal ? 10_000 : 0x1_0000 }
  private var isPeriodic: Bool { mode == 2 || mode == 3 }
  private var isTriggered: Bool { mode == 1 || mode == 5 }
  /// The length of the first half of mode 3's period, while the output is high.
  private var highHalf: Int64 { (count &+ 1) / 2 }

  private func elapsed(at now: Int64) -> Int64 { max(0, stoppedAt ?? now &- start) }
}

// MARK: Programming

extension IntervalCounter {
  /// A control word: the mode begins, and waits for a count.
  mutating func program(mode: UInt8, access: Access, isDecimal: Bool, at now: Int64) {
    idleElement = element(at: now)
    // The mode's uppermost bit does not count in modes 2 and 3.
    self.mode = mode > 5 ? mode & 3 : mode
    self.access = access
    self.isDecimal = isDecimal
    isCounting = false
    hasCount = false
    stoppedAt = nil
    pending = nil
  }

  /// The first byte of a two-byte count: it stops mode 0, whose output goes low.
  mutating func beginCount(at now: Int64) {
    guard mode == 0 else { return }
    idleElement = element(at: now)
    isCounting = false
  }

  /// A new count, as its 16 bits were written.
  mutating func setCount(_ bits: UInt16, at now: Int64) {
    let new = decoded(bits)
    settle(at: now)
    hasCount = true
    if isTriggered {
      pending = PendingCount(tick: .max, count: new, isRise: false)
    } else if isPeriodic, isCounting, gate, now >= start {
      pending = end(ofPeriodAt: now, new)
    } else {
      pending = nil
      count = new
      start = now &+ 1
      stoppedAt = gate || isPeriodic ? nil : 0
      isCounting = true
    }
  }

  /// Where the period or half period that `now` is in ends.
  private func end(ofPeriodAt now: Int64, _ new: Int64) -> PendingCount {
    let position = (now &- start) % count
    let period = now &- position
    if mode == 3, position < highHalf {
      return PendingCount(tick: period &+ highHalf, count: new, isRise: false)
    }
    return PendingCount(tick: period &+ count, count: new, isRise: true)
  }

  /// Loads a pending count that is due.
  private mutating func settle(at now: Int64) {
    guard let due = pending, due.tick <= now, isCounting, gate else { return }
    pending = nil
    count = due.count
    start = due.isRise ? due.tick : due.tick &- highHalf
  }

  mutating func setGate(_ level: Bool, at now: Int64) {
    guard level != gate else { return }
    settle(at: now)
    gate = level
    switch (mode, level) {
    case (0, false), (4, false): stoppedAt = elapsed(at: now)
    case (0, true), (4, true):
      start = now &- (stoppedAt ?? 0)
      stoppedAt = nil
    case (2, false), (3, false): idleElement = element(at: now, gated: true)
    default: if level { trigger(at: now) }
    }
  }

  /// The gate's rising edge in the modes that it (re)starts.
  private mutating func trigger(at now: Int64) {
    guard hasCount else { return }
    if let new = pending { count = new.count }
    pending = nil
    start = now &+ 1
    isCounting = true
  }

  private func decoded(_ bits: UInt16) -> Int64 {
    guard isDecimal else { return bits == 0 ? modulus : Int64(bits) }
    let value = (0..<4).reversed().reduce(Int64(0)) { $0 &* 10 &+ Int64(bits >> (UInt16($1) &* 4) & 0xF) }
    return value == 0 ? modulus : min(value, modulus)
  }
}

// MARK: State

extension IntervalCounter {
  /// The OUT pin.
  mutating func output(at now: Int64) -> Bool {
    settle(at: now)
    guard isCounting else { return mode != 0 }
    let elapsed = elapsed(at: now)
    switch mode {
    case 0: return elapsed >= count
    case 1: return elapsed >= count || now < start
    case 2: return !gate || count == 1 || elapsed % count != count &- 1
    case 3: return !gate || count == 1 || elapsed % count < highHalf
    default: return elapsed != count
    }
  }

  /// The first tick after `now` at which OUT rises, or nil if only an access can make it.
  func nextRise(after now: Int64) -> Int64? {
    guard isCounting, stoppedAt == nil else { return nil }
    switch mode {
    case 0, 1: return start &+ count > now ? start &+ count : nil
    case 2, 3: return nextPeriod(after: now)
    default: return start &+ count &+ 1 > now ? start &+ count &+ 1 : nil
    }
  }

  private func nextPeriod(after now: Int64) -> Int64? {
    guard gate else { return nil }
    if let due = pending {
      if due.isRise, due.tick > now { return due.tick }
      var settled = self
      settled.settle(at: due.tick)
      return settled.nextRise(after: max(now, due.tick))
    }
    guard count > 1 else { return nil }
    return now < start ? start &+ count : now &- (now &- start) % count &+ count
  }

  /// What the counting element holds, as it is read.
  mutating func settledElement(at now: Int64) -> UInt16 {
    settle(at: now)
    return element(at: now)
  }

  private func element(at now: Int64) -> UInt16 { element(at: now, gated: gate) }

  private func element(at now: Int64, gated: Bool) -> UInt16 {
    guard isCounting, !isPeriodic || gated else { return idleElement }
    let elapsed = elapsed(at: now)
    switch mode {
    case 2: return encoded(count &- elapsed % count)
    case 3:
      let position = elapsed % count
      let even = count & ~1
      return encoded(even &- 2 &* (position < highHalf ? position : position &- highHalf))
    default: return encoded((count &- elapsed) % modulus)
    }
  }

  private func encoded(_ value: Int64) -> UInt16 {
    let value = (value % modulus &+ modulus) % modulus
    guard isDecimal else { return UInt16(truncatingIfNeeded: value) }
    let digits = [value / 1000 % 10, value / 100 % 10, value / 10 % 10, value % 10]
    return digits.reduce(0) { $0 << 4 | UInt16(truncatingIfNeeded: $1) }
  }

  /// The status byte that the read-back command latches.
  mutating func status(at now: Int64) -> UInt8 {
    let out: UInt8 = output(at: now) ? 0x80 : 0
    let isNull = !isCounting || pending != nil || now < start
    return out | (isNull ? 0x40 : 0) | access.rawValue << 4 | mode << 1 | (isDecimal ? 1 : 0)
  }
}
