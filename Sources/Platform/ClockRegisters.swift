/// The registers of a real-time clock, as bytes, and what they say.
///
/// Source: Motorola, MC146818 data sheet.
struct ClockRegisters {
  enum Index {
    static let seconds = 0x00
    static let secondsAlarm = 0x01
    static let minutes = 0x02
    static let minutesAlarm = 0x03
    static let hours = 0x04
    static let hoursAlarm = 0x05
    static let dayOfWeek = 0x06
    static let dayOfMonth = 0x07
    static let month = 0x08
    static let year = 0x09
    static let century = 0x32
  }

  private static let afternoon: UInt8 = 0x80
  /// An alarm byte from C0H on matches any.
  private static let anyValue: UInt8 = 0xC0

  /// All 128 bytes, of which those from 0EH on are memory.
  var bytes = [UInt8](repeating: 0, count: 128)
  /// Register B's DM bit: the registers are binary, not BCD.
  var isBinary = false
  /// Register B's 24/12 bit.
  var is24Hour = true

  // MARK: Encoding

  private func encoded(_ value: Int64) -> UInt8 {
    UInt8(truncatingIfNeeded: isBinary ? value : (value / 10 % 10) << 4 | value % 10)
  }

  private func decoded(_ byte: UInt8) -> Int64 {
    isBinary ? Int64(byte) : Int64(byte >> 4) * 10 + Int64(byte & 0xF)
  }

  private func encodedHour(_ hour: Int64) -> UInt8 {
    guard !is24Hour else { return encoded(hour) }
    return encoded((hour + 11) % 12 + 1) | (hour >= 12 ? Self.afternoon : 0)
  }

  private func decodedHour(_ byte: UInt8) -> Int64 {
    guard !is24Hour else { return decoded(byte) }
    return decoded(byte & ~Self.afternoon) % 12 + (byte & Self.afternoon != 0 ? 12 : 0)
  }

  // MARK: Time

  /// The time that the registers say; what is no date is brought into range.
  var time: CalendarTime {
    CalendarTime(
      clamping: decoded(bytes[Index.century]) * 100 + decoded(bytes[Index.year]) % 100,
      month: decoded(bytes[Index.month]), day: decoded(bytes[Index.dayOfMonth]),
      hour: decodedHour(bytes[Index.hours]), minute: decoded(bytes[Index.minutes]),
      second: decoded(bytes[Index.seconds]))
  }

  /// Sets everything but the day of the week.
  mutating func setTime(_ time: CalendarTime) {
    bytes[Index.seconds] = encoded(time.second)
    bytes[Index.minutes] = encoded(time.minute)
    bytes[Index.hours] = encodedHour(time.hour)
    bytes[Index.dayOfMonth] = encoded(time.day)
    bytes[Index.month] = encoded(time.month)
    bytes[Index.year] = encoded(time.year % 100)
    bytes[Index.century] = encoded(time.year / 100 % 100)
  }

  mutating func setDayOfWeek(_ day: Int64) { bytes[Index.dayOfWeek] = UInt8(truncatingIfNeeded: day) }

  /// Lets `seconds` (not negative) pass. The day of the week goes on by itself, whatever it was set to.
  mutating func advance(by seconds: Int64) {
    let before = time
    let after = CalendarTime(secondsSince1970: before.secondsSince1970 &+ seconds)
    let days = (before.secondOfDay &+ seconds) / CalendarTime.secondsPerDay
    let weekday = Int64(bytes[Index.dayOfWeek]) &- 1 &+ days % 7
    setDayOfWeek((weekday % 7 + 7) % 7 + 1)
    setTime(after)
  }

  // MARK: Alarm

  /// The seconds from the time in the registers to the next, later, time that the alarm matches; nil if none does.
  var secondsToAlarm: Int64? {
    guard let hours = values(bytes[Index.hoursAlarm], below: 24, decodedHour),
      let minutes = values(bytes[Index.minutesAlarm], below: 60, decoded),
      let seconds = values(bytes[Index.secondsAlarm], below: 60, decoded)
    else { return nil }
    let now = time.secondOfDay
    var best = Int64.max
    for hour in hours {
      for minute in minutes {
        best = min(best, Self.distance(from: now - hour * 3600 - minute * 60, to: seconds))
      }
    }
    return best
  }

  /// The seconds from `now`, around the day, to the next of `seconds` that is later.
  private static func distance(from now: Int64, to seconds: ClosedRange<Int64>) -> Int64 {
    if now < seconds.lowerBound { return seconds.lowerBound - now }
    return now < seconds.upperBound ? 1 : seconds.lowerBound - now + CalendarTime.secondsPerDay
  }

  /// The values that an alarm byte matches: one, or all below `limit`; nil if it is beyond.
  private func values(_ byte: UInt8, below limit: Int64, _ decode: (UInt8) -> Int64) -> ClosedRange<Int64>? {
    if byte >= Self.anyValue { return 0...limit - 1 }
    let value = decode(byte)
    return value < limit ? value...value : nil
  }
}
