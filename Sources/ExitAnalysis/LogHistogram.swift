/// Counts of numbers in classes that grow with them, four to each doubling, in fixed memory.
public struct LogHistogram: Sendable {
  /// The numbers from `lower` up to, but not including, `upper`.
  public struct Class: Equatable, Sendable {
    public var lower: UInt64
    public var upper: UInt64
    public var count: UInt64
  }

  private var counts = [UInt64](repeating: 0, count: 252)
  public private(set) var total: UInt64 = 0

  public init() {}

  public mutating func add(_ value: UInt64) {
    counts[Self.index(value)] &+= 1
    total &+= 1
  }

  /// The classes from the first that is not empty to the last, the empty ones between them included.
  public var classes: [Class] {
    guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 })
    else { return [] }
    return (first...last).map {
      Class(
        lower: Self.lower($0), upper: $0 + 1 < counts.count ? Self.lower($0 + 1) : .max, count: counts[$0])
    }
  }

  /// A number that at least the part `share` (0 to 1) of the numbers does not exceed: the upper end of its class.
  public func quantile(_ share: Double) -> UInt64 {
    let wanted = UInt64((Double(total) * share).rounded(.up))
    var seen: UInt64 = 0
    for row in classes {
      seen &+= row.count
      if seen >= max(wanted, 1) { return row.upper &- 1 }
    }
    return 0
  }

  /// Numbers below 8 have a class each; above, the two bits after the highest choose among four.
  static func index(_ value: UInt64) -> Int {
    guard value >= 4 else { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return 4 * (exponent - 1) + Int(value >> UInt64(exponent - 2) & 3)
  }

  static func lower(_ index: Int) -> UInt64 {
    guard index >= 4 else { return UInt64(index) }
    return UInt64(4 + index % 4) << UInt64(index / 4 - 1)
  }
}
