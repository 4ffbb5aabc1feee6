/// A date and time of the proleptic Gregorian calendar, in UTC.
struct CalendarTime: Equatable {
  var year: Int64
  /// From 1.
  var month: Int64
  /// From 1.
  var day: Int64
  var hour: Int64
  var minute: Int64
  var second: Int64

  static let secondsPerDay: Int64 = 86_400
  /// Days from 0000-03-01, where the arithmetic begins, to 1970-01-01.
  private static let epochDays: Int64 = 719_468
  private static let daysPerEra: Int64 = 146_097

  /// The moment `seconds` after 1970-01-01T00:00:00.
  ///
  /// Years are counted from March, so that the leap day is a year's last; 400 of them are an era of 146,097 days.
  init(secondsSince1970 seconds: Int64) {
    let days = (seconds / Self.secondsPerDay) - (seconds % Self.secondsPerDay < 0 ? 1 : 0)
    let inDay = seconds - days * Self.secondsPerDay
    let shifted = days + Self.epochDays
    let era = (shifted >= 0 ? shifted : shifted - (Self.daysPerEra - 1)) / Self.daysPerEra
    let dayOfEra = shifted - era * Self.daysPerEra
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    hour = inDay / 3600
    minute = inDay / 60 % 60
    second = inDay % 60
  }

  /// Fields brought into their ranges.
  init(clamping year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64) {
    self.year = max(0, min(year, 9999))
    self.month = max(1, min(month, 12))
    self.day = max(1, min(day, 31))
    self.hour = max(0, min(hour, 23))
    self.minute = max(0, min(minute, 59))
    self.second = max(0, min(second, 59))
  }

  /// Seconds since 1970-01-01T00:00:00. A day beyond its month's end counts into the next month.
  var secondsSince1970: Int64 {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * Self.daysPerEra + dayOfEra - Self.epochDays
    return days * Self.secondsPerDay + secondOfDay
  }

  var secondOfDay: Int64 { hour * 3600 + minute * 60 + second }

  /// From 1, Sunday, to 7, as a real-time clock counts.
  var dayOfWeek: Int64 {
    let days = (secondsSince1970 - secondOfDay) / Self.secondsPerDay
    // 1970-01-01 was a Thursday.
    return ((days + 4) % 7 + 7) % 7 + 1
  }
}
