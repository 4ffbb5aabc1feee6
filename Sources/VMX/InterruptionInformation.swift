import X86

/// The interruption-information format of three fields: VM-entry interruption information, VM-exit interruption
/// information, and IDT-vectoring information.
///
/// Source: SDM volume 3, "VM-Entry Controls for Event Injection" and "Information for VM Exits Due to Vectored Events".
public struct InterruptionInformation: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The kind of event.
  public enum Kind: UInt8, Sendable {
    case externalInterrupt = 0
    case reserved = 1
    case nmi = 2
    case hardwareException = 3
    case softwareInterrupt = 4
    case privilegedSoftwareException = 5
    case softwareException = 6
    /// Not from vectored events: an MTF VM exit to be pended at VM entry (vector 0), SYSCALL or SYSENTER under FRED.
    case otherEvent = 7
  }

  /// A valid event.
  @inlinable
  public init(vector: UInt8, kind: Kind, hasErrorCode: Bool = false) {
    rawValue = UInt32(vector) | UInt32(kind.rawValue) << 8 | (hasErrorCode ? 1 << 11 : 0) | 1 << 31
  }

  /// A hardware exception with or without an error code.
  @inlinable
  public init(_ exception: ExceptionVector, hasErrorCode: Bool) {
    self.init(vector: exception.rawValue, kind: .hardwareException, hasErrorCode: hasErrorCode)
  }

  /// No event.
  @inlinable public static var none: Self { Self(rawValue: 0) }

  /// A non-maskable interrupt.
  @inlinable public static var nmi: Self { Self(vector: ExceptionVector.nmi.rawValue, kind: .nmi) }

  /// The vector of the event.
  @inlinable
  public var vector: UInt8 { UInt8(truncatingIfNeeded: rawValue) }

  @inlinable
  public var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: rawValue >> 8) & 7) ?? .reserved }

  /// Whether the error-code field holds an error code, or at VM entry, whether one is delivered.
  @inlinable
  public var hasErrorCode: Bool { rawValue & 1 << 11 != 0 }

  /// VM-exit information only: NMI unblocking due to IRET.
  @inlinable
  public var isNMIUnblocked: Bool {
    get { rawValue & 1 << 12 != 0 }
    set { rawValue = rawValue & ~(1 << 12) | (newValue ? 1 << 12 : 0) }
  }

  /// Whether the exception arose in the delivery of another (FRED).
  @inlinable
  public var isNested: Bool { rawValue & 1 << 13 != 0 }

  /// Whether there is an event.
  @inlinable
  public var isValid: Bool { rawValue & 1 << 31 != 0 }

  /// Whether the event is injected with the length of an instruction: a software interrupt or exception.
  @inlinable
  public var usesInstructionLength: Bool {
    switch kind {
    case .softwareInterrupt, .privilegedSoftwareException, .softwareException: true
    default: false
    }
  }
}
