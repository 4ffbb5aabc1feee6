/// IA32_MISC_ENABLE: what of a processor is turned on.
///
/// Source: SDM volume 4, "Architectural MSRs".
public struct MiscEnable: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var fastStrings: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var thermalControl: Self { Self(rawValue: 1 << 3) }
  /// Read only: there are performance counters.
  @inlinable public static var performanceMonitoring: Self { Self(rawValue: 1 << 7) }
  /// Read only: there is no branch trace store.
  @inlinable public static var branchTraceUnavailable: Self { Self(rawValue: 1 << 11) }
  /// Read only: there is no processor event-based sampling.
  @inlinable public static var eventSamplingUnavailable: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var speedStep: Self { Self(rawValue: 1 << 16) }
  /// MONITOR and MWAIT; without it they are undefined, and CPUID says so.
  @inlinable public static var monitor: Self { Self(rawValue: 1 << 18) }
  /// CPUID's highest basic leaf is 2.
  @inlinable public static var limitCPUID: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var priorityMessagesOff: Self { Self(rawValue: 1 << 23) }
  /// There is no execute-disable bit, and CPUID says so.
  @inlinable public static var executeDisableOff: Self { Self(rawValue: 1 << 34) }

  /// What can be written.
  @inlinable public static var writable: Self {
    [
      .fastStrings, .thermalControl, .speedStep, .monitor, .limitCPUID, .priorityMessagesOff,
      .executeDisableOff,
    ]
  }
  /// What only reads: a write leaves it as it is.
  @inlinable public static var readOnly: Self {
    [.performanceMonitoring, .branchTraceUnavailable, .eventSamplingUnavailable]
  }
  /// What a processor without any performance monitoring starts with.
  @inlinable public static var initial: Self {
    [.fastStrings, .branchTraceUnavailable, .eventSamplingUnavailable, .monitor]
  }
}
