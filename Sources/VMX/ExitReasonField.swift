/// The exit-reason field: the basic exit reason and the circumstances of a VM exit.
///
/// Source: SDM volume 3, "Basic VM-Exit Information", table "Format of Exit Reason".
public struct ExitReasonField: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The field of a VM exit, or with `entryFailure` of a failed VM entry.
  @inlinable
  public init(_ reason: ExitReason, entryFailure: Bool = false) {
    self.rawValue = UInt32(reason.rawValue) | (entryFailure ? 1 << 31 : 0)
  }

  /// Bits 15:0 as a number, whether the SDM defines it or not.
  @inlinable
  public var basicNumber: UInt16 { UInt16(truncatingIfNeeded: rawValue) }

  /// The basic exit reason, or nil if the SDM defines none of this number.
  @inlinable
  public var basic: ExitReason? { ExitReason(rawValue: basicNumber) }

  /// Bit 25: the VM exit came while a shadow stack was prematurely busy.
  @inlinable
  public var isShadowStackPrematurelyBusy: Bool { rawValue & 1 << 25 != 0 }

  /// Bit 26: the VM exit came after a bus lock.
  @inlinable
  public var isBusLockAsserted: Bool { rawValue & 1 << 26 != 0 }

  /// Bit 27: the VM exit was incident to enclave mode.
  @inlinable
  public var isIncidentToEnclaveMode: Bool { rawValue & 1 << 27 != 0 }

  /// Bit 28: an MTF VM exit was pending.
  @inlinable
  public var isMTFExitPending: Bool { rawValue & 1 << 28 != 0 }

  /// Bit 29: the VM exit came from VMX root operation.
  @inlinable
  public var isFromRootOperation: Bool { rawValue & 1 << 29 != 0 }

  /// Bit 31: this is a VM-entry failure and no true VM exit.
  @inlinable
  public var isEntryFailure: Bool { rawValue & 1 << 31 != 0 }
}
