/// TSC scaling: a TSC times the TSC multiplier, a number with 48 bits behind its binary point.
///
/// Source: SDM volume 3, "Timestamp-Counter Multiplier"; "Changes to Instruction Behavior in VMX Non-Root Operation".
public enum TSCScaling {
  /// The multiplier that changes nothing.
  @inlinable public static var one: UInt64 { 1 << 48 }

  /// Bits 111:48 of the product of `counter` and `multiplier`.
  @inlinable
  public static func scaled(_ counter: UInt64, by multiplier: UInt64) -> UInt64 {
    let product = counter.multipliedFullWidth(by: multiplier)
    return product.high << 16 | product.low >> 48
  }

  /// A signed offset, scaled.
  @inlinable
  public static func scaled(offset: UInt64, by multiplier: UInt64) -> UInt64 {
    guard Int64(bitPattern: offset) < 0 else { return scaled(offset, by: multiplier) }
    return 0 &- scaled(0 &- offset, by: multiplier)
  }
}
