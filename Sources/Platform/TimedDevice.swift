/// The time of the machine, as its devices see it.
public protocol MachineTime: AnyObject {
  /// The virtual time-stamp counter now.
  var cycles: UInt64 { get }
  /// Cycles per second; never 0.
  var frequency: UInt64 { get }
}

extension MachineTime {
  /// The ticks that a counter of `rate` ticks per second has made by `cycles`. Exact: no tick is ever lost or made up.
  public func ticks(at cycles: UInt64, rate: UInt64) -> UInt64 {
    let product = cycles.multipliedFullWidth(by: rate)
    guard product.high < frequency else { return .max }
    return frequency.dividingFullWidth(product).quotient
  }

  /// The first cycle at which a counter of `rate` ticks per second (not 0) has made `ticks` ticks; `.max` if none is.
  public func cycles(ofTick ticks: UInt64, rate: UInt64) -> UInt64 {
    let product = ticks.multipliedFullWidth(by: frequency)
    guard rate > 0, product.high < rate else { return .max }
    let (quotient, remainder) = rate.dividingFullWidth(product)
    return remainder == 0 ? quotient : quotient &+ 1
  }
}

/// A device that acts by itself as time goes on.
public protocol TimedDevice: AnyObject {
  /// The cycle at which the device acts next, or `.max` if only an access to it can make it act.
  var deadline: UInt64 { get }
  /// Performs what is due at `now`, and moves ``deadline`` beyond it.
  func advance(to now: UInt64)
}
