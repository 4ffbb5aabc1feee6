/// What many durations in virtual cycles come to, without keeping them.
public struct DurationSummary: Equatable, Sendable {
  public private(set) var count: UInt64 = 0
  public private(set) var total: UInt64 = 0
  /// The shortest; 0 if there is none.
  public private(set) var least: UInt64 = 0
  /// The longest.
  public private(set) var most: UInt64 = 0
  /// Mean and sum of squared distances from it, kept up to date by Welford's method.
  private var runningMean = 0.0
  private var squaredDistances = 0.0

  public init() {}

  public mutating func add(_ cycles: UInt64) {
    least = count == 0 ? cycles : min(least, cycles)
    most = max(most, cycles)
    count &+= 1
    total &+= cycles
    let distance = Double(cycles) - runningMean
    runningMean += distance / Double(count)
    squaredDistances += distance * (Double(cycles) - runningMean)
  }

  /// The arithmetic mean; 0 if there is none.
  public var mean: Double { runningMean }

  /// The standard error of the mean as a part of the mean, 0 to 1 and beyond: what `perf` prints after ±.
  public var relativeError: Double {
    guard count > 1, runningMean > 0 else { return 0 }
    let variance = squaredDistances / Double(count - 1)
    return (variance / Double(count)).squareRoot() / runningMean
  }
}
