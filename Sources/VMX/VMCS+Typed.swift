/// The control words as option sets, and the fields that have a type of their own.
extension VMCS {
  @inlinable
  public var pinBasedControls: PinBasedControls {
    get { PinBasedControls(rawValue: UInt32(truncatingIfNeeded: self[.pinBasedControls])) }
    nonmutating set { self[.pinBasedControls] = UInt64(newValue.rawValue) }
  }

  @inlinable
  public var primaryProcessorBasedControls: PrimaryProcessorBasedControls {
    get {
      PrimaryProcessorBasedControls(
        rawValue: UInt32(truncatingIfNeeded: self[.primaryProcessorBasedControls]))
    }
    nonmutating set { self[.primaryProcessorBasedControls] = UInt64(newValue.rawValue) }
  }

  @inlinable
  public var secondaryProcessorBasedControls: SecondaryProcessorBasedControls {
    get {
      SecondaryProcessorBasedControls(
        rawValue: UInt32(truncatingIfNeeded: self[.secondaryProcessorBasedControls]))
    }
    nonmutating set { self[.secondaryProcessorBasedControls] = UInt64(newValue.rawValue) }
  }

  @inlinable
  public var tertiaryProcessorBasedControls: TertiaryProcessorBasedControls {
    get { TertiaryProcessorBasedControls(rawValue: self[.tertiaryProcessorBasedControls]) }
    nonmutating set { self[.tertiaryProcessorBasedControls] = newValue.rawValue }
  }

  @inlinable
  public var vmFunctionControls: VMFunctionControls {
    get { VMFunctionControls(rawValue: self[.vmFunctionControls]) }
    nonmutating set { self[.vmFunctionControls] = newValue.rawValue }
  }

  @inlinable
  public var exitControls: PrimaryExitControls {
    get { PrimaryExitControls(rawValue: UInt32(truncatingIfNeeded: self[.exitControls])) }
    nonmutating set { self[.exitControls] = UInt64(newValue.rawValue) }
  }

  @inlinable
  public var secondaryExitControls: SecondaryExitControls {
    get { SecondaryExitControls(rawValue: self[.secondaryExitControls]) }
    nonmutating set { self[.secondaryExitControls] = newValue.rawValue }
  }

  @inlinable
  public var entryControls: EntryControls {
    get { EntryControls(rawValue: UInt32(truncatingIfNeeded: self[.entryControls])) }
    nonmutating set { self[.entryControls] = UInt64(newValue.rawValue) }
  }

  /// The secondary processor-based controls as the processor takes them: none unless they are activated.
  @inlinable
  public var effectiveSecondaryControls: SecondaryProcessorBasedControls {
    primaryProcessorBasedControls.contains(.activateSecondaryControls) ? secondaryProcessorBasedControls : []
  }

  /// The tertiary processor-based controls as the processor takes them: none unless they are activated.
  @inlinable
  public var effectiveTertiaryControls: TertiaryProcessorBasedControls {
    primaryProcessorBasedControls.contains(.activateTertiaryControls) ? tertiaryProcessorBasedControls : []
  }

  /// The secondary VM-exit controls as the processor takes them: none unless they are activated.
  @inlinable
  public var effectiveSecondaryExitControls: SecondaryExitControls {
    exitControls.contains(.activateSecondaryControls) ? secondaryExitControls : []
  }

  /// The exit reason.
  @inlinable
  public var exitReason: ExitReasonField {
    get { ExitReasonField(rawValue: UInt32(truncatingIfNeeded: self[.exitReason])) }
    nonmutating set { self[.exitReason] = UInt64(newValue.rawValue) }
  }
}
