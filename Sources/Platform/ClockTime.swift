/// Dates and times as a user writes them.
public enum ClockTime {
  /// Seconds since 1970-01-01T00:00:00 UTC of `text`, such as `2026-01-01` or `2026-01-01T12:30:00`; nil unless it is a
  /// moment of the years 1970 to 2099, which a PC's clock can tell.
  public static func seconds(of text: String) -> Int64? {
    let halves = text.split(separator: "T", omittingEmptySubsequences: false)
    guard (1...2).contains(halves.count), let date = numbers(halves[0], separator: "-", widths: [4, 2, 2])
    else {
      return nil
    }
    var time: [Int64] = [0, 0, 0]
    if halves.count == 2 {
      guard let given = numbers(halves[1], separator: ":", widths: [2, 2, 2]) else { return nil }
      time = given
    }
    let moment = CalendarTime(
      clamping: date[0], month: date[1], day: date[2], hour: time[0], minute: time[1], second: time[2])
    let seconds = moment.secondsSince1970
    let read = CalendarTime(secondsSince1970: seconds)
    let fields = [read.year, read.month, read.day, read.hour, read.minute, read.second]
    return fields == date + time && (1970...2099).contains(read.year) ? seconds : nil
  }

  /// The numbers of `text` between `separator`s, if each has as many digits as `widths` says.
  private static func numbers(_ text: Substring, separator: Character, widths: [Int]) -> [Int64]? {
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    guard parts.map(\.count) == widths,
      parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
    else {
      return nil
    }
    return parts.compactMap { Int64($0) }
  }
}
