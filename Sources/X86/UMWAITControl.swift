/// IA32_UMWAIT_CONTROL: what the operating system lets UMWAIT and TPAUSE do.
///
/// Source: SDM volume 4, "Architectural MSRs".
public struct UMWAITControl: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The longest wait in cycles of the TSC, a multiple of 4, or nil without a limit.
  @inlinable public var longestWait: UInt64? {
    let limit = rawValue & 0xFFFF_FFFC
    return limit == 0 ? nil : limit
  }

  /// Whether no reserved bit is set: bit 1 and the upper half. Bit 0 forbids the state C0.2.
  @inlinable public var isValid: Bool { rawValue & ~0xFFFF_FFFD == 0 }
}
