/// The primary VM-exit controls.
///
/// Source: SDM volume 3, "Definitions of Primary VM-Exit Controls".
public struct PrimaryExitControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var saveDebugControls: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var hostAddressSpaceSize: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var loadPerfGlobalCtrl: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var acknowledgeInterruptOnExit: Self { Self(rawValue: 1 << 15) }
  @inlinable public static var savePAT: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var loadPAT: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var saveEFER: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var loadEFER: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var savePreemptionTimerValue: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var clearBndcfgs: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var concealVMXFromPT: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var clearRTITCtl: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var clearLBRCtl: Self { Self(rawValue: 1 << 26) }
  @inlinable public static var clearUINV: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var loadCETState: Self { Self(rawValue: 1 << 28) }
  @inlinable public static var loadPKRS: Self { Self(rawValue: 1 << 29) }
  @inlinable public static var savePerfGlobalCtrl: Self { Self(rawValue: 1 << 30) }
  @inlinable public static var activateSecondaryControls: Self { Self(rawValue: 1 << 31) }

  @inlinable public static var kind: ControlWordKind { .exit }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<18, ControlName> = [
    ControlName(UInt64(Self.saveDebugControls.rawValue), "Save debug controls"),
    ControlName(UInt64(Self.hostAddressSpaceSize.rawValue), "Host address-space size"),
    ControlName(UInt64(Self.loadPerfGlobalCtrl.rawValue), "Load IA32_PERF_GLOBAL_CTRL"),
    ControlName(UInt64(Self.acknowledgeInterruptOnExit.rawValue), "Acknowledge interrupt on exit"),
    ControlName(UInt64(Self.savePAT.rawValue), "Save IA32_PAT"),
    ControlName(UInt64(Self.loadPAT.rawValue), "Load IA32_PAT"),
    ControlName(UInt64(Self.saveEFER.rawValue), "Save IA32_EFER"),
    ControlName(UInt64(Self.loadEFER.rawValue), "Load IA32_EFER"),
    ControlName(UInt64(Self.savePreemptionTimerValue.rawValue), "Save VMX-preemption timer value"),
    ControlName(UInt64(Self.clearBndcfgs.rawValue), "Clear IA32_BNDCFGS"),
    ControlName(UInt64(Self.concealVMXFromPT.rawValue), "Conceal VMX from PT"),
    ControlName(UInt64(Self.clearRTITCtl.rawValue), "Clear IA32_RTIT_CTL"),
    ControlName(UInt64(Self.clearLBRCtl.rawValue), "Clear IA32_LBR_CTL"),
    ControlName(UInt64(Self.clearUINV.rawValue), "Clear UINV"),
    ControlName(UInt64(Self.loadCETState.rawValue), "Load CET state"),
    ControlName(UInt64(Self.loadPKRS.rawValue), "Load PKRS"),
    ControlName(UInt64(Self.savePerfGlobalCtrl.rawValue), "Save IA32_PERF_GLOBAL_CTRL"),
    ControlName(UInt64(Self.activateSecondaryControls.rawValue), "Activate secondary controls"),
  ]
}

/// The secondary VM-exit controls.
///
/// Source: SDM volume 3, "Definitions of Secondary VM-Exit Controls".
public struct SecondaryExitControls: ControlWord {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var saveFRED: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var loadFRED: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var loadSpecCtrl: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var prematurelyBusyShadowStack: Self { Self(rawValue: 1 << 3) }

  @inlinable public static var kind: ControlWordKind { .secondaryExit }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<4, ControlName> = [
    ControlName(UInt64(Self.saveFRED.rawValue), "Save FRED"),
    ControlName(UInt64(Self.loadFRED.rawValue), "Load FRED"),
    ControlName(UInt64(Self.loadSpecCtrl.rawValue), "Load IA32_SPEC_CTRL"),
    ControlName(UInt64(Self.prematurelyBusyShadowStack.rawValue), "Prematurely busy shadow stack"),
  ]
}
