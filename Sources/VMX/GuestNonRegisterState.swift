/// The interruptibility state of a guest.
///
/// Source: SDM volume 3, "Guest Non-Register State", table "Format of Interruptibility State".
public struct InterruptibilityState: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var blockingBySTI: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var blockingByMOVSS: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var blockingBySMI: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var blockingByNMI: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var enclaveInterruption: Self { Self(rawValue: 1 << 4) }

  /// The bits that are not reserved.
  @inlinable public static var defined: Self { Self(rawValue: 0x1F) }
}

/// The activity state of a guest.
///
/// Source: SDM volume 3, "Guest Non-Register State".
public enum ActivityState: UInt32, Sendable {
  case active
  case hlt
  case shutdown
  case waitForSIPI
}

/// What the VMX-abort indicator says.
///
/// Source: SDM volume 3, "VMX Aborts".
public enum VMXAbort: UInt32, Sendable {
  case savingGuestMSRs = 1
  case hostPDPTEChecking = 2
  case currentVMCSCorrupted = 3
  case loadingHostMSRs = 4
  case machineCheckDuringExit = 5
  case loadingHostStateIn64BitMode = 6
}

extension VMCS {
  @inlinable
  public var interruptibilityState: InterruptibilityState {
    get { InterruptibilityState(rawValue: UInt32(truncatingIfNeeded: self[.guestInterruptibilityState])) }
    nonmutating set { self[.guestInterruptibilityState] = UInt64(newValue.rawValue) }
  }

  /// The VM-entry interruption information: the event to be injected.
  @inlinable
  public var entryInterruptionInformation: InterruptionInformation {
    get { InterruptionInformation(rawValue: UInt32(truncatingIfNeeded: self[.entryInterruptionInformation])) }
    nonmutating set { self[.entryInterruptionInformation] = UInt64(newValue.rawValue) }
  }

  /// The VM-exit interruption information: the event that caused the VM exit.
  @inlinable
  public var exitInterruptionInformation: InterruptionInformation {
    get { InterruptionInformation(rawValue: UInt32(truncatingIfNeeded: self[.exitInterruptionInformation])) }
    nonmutating set { self[.exitInterruptionInformation] = UInt64(newValue.rawValue) }
  }

  /// The IDT-vectoring information: the event in whose delivery the VM exit came.
  @inlinable
  public var idtVectoringInformation: InterruptionInformation {
    get { InterruptionInformation(rawValue: UInt32(truncatingIfNeeded: self[.idtVectoringInformation])) }
    nonmutating set { self[.idtVectoringInformation] = UInt64(newValue.rawValue) }
  }
}
