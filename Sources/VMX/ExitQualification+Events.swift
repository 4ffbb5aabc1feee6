import X86

/// The exit qualification of a debug exception, and the pending-debug-exceptions field.
///
/// Source: SDM volume 3, "Exit Qualification for Debug Exceptions" and "Pending Debug Exceptions".
public struct DebugExceptionQualification: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var b0: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var b1: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var b2: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var b3: Self { Self(rawValue: 1 << 3) }
  /// A bus lock caused the exception (1 here where DR6 has 0).
  @inlinable public static var bld: Self { Self(rawValue: 1 << 11) }
  /// Pending exceptions only: an enabled breakpoint was met.
  @inlinable public static var enabledBreakpoint: Self { Self(rawValue: 1 << 12) }
  /// Exit qualification only: a debug-register access was detected.
  @inlinable public static var bd: Self { Self(rawValue: 1 << 13) }
  /// Single-stepping or a taken branch.
  @inlinable public static var bs: Self { Self(rawValue: 1 << 14) }
  /// The exception was in a transactional region (1 here where DR6 has 0).
  @inlinable public static var rtm: Self { Self(rawValue: 1 << 16) }

  /// The bits that the pending-debug-exceptions field can have.
  @inlinable public static var pendingDefined: Self {
    [.b0, .b1, .b2, .b3, .bld, .enabledBreakpoint, .bs, .rtm]
  }
}

/// The exit qualification of a task switch.
///
/// Source: SDM volume 3, "Exit Qualification for Task Switches".
public struct TaskSwitchQualification: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// What started the task switch.
  public enum Source: UInt8, Sendable {
    case call
    case iret
    case jmp
    case taskGate
  }

  @inlinable
  public init(_ source: Source, selector: SegmentSelector) {
    rawValue = UInt64(selector.rawValue) | UInt64(source.rawValue) << 30
  }

  /// The selector of the new task's TSS.
  @inlinable
  public var selector: SegmentSelector { SegmentSelector(rawValue: UInt16(truncatingIfNeeded: rawValue)) }

  @inlinable
  public var source: Source {
    switch rawValue >> 30 & 3 {
    case 0: .call
    case 1: .iret
    case 2: .jmp
    default: .taskGate
    }
  }
}

/// The exit qualification of a VM-entry failure due to invalid guest state.
///
/// Source: SDM volume 3, "VM-Entry Failures During or After Loading Guest State".
public enum EntryFailureQualification: UInt64, Sendable {
  case none = 0
  /// Loading the PDPTEs failed.
  case pdpteLoading = 2
  /// An NMI was to be injected while events are blocked by STI.
  case nmiInjectionBlocked = 3
  /// The VMCS link pointer was refused.
  case invalidLinkPointer = 4
}

/// The exit qualification that has one bit alone: NMI unblocking due to IRET, of a full page-modification log, an
/// SPP-related event, a bus lock or an instruction timeout.
public enum NMIUnblockingQualification {
  @inlinable public static var mask: UInt64 { 1 << 12 }
}
