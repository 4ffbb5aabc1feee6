/// The primary VM-exit controls.
///
/// Source: SDM volume 3, "Definitions of Primary VM-Exit Controls".
public struct PrimaryExitControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var saveDebugControls: Self { Self(bit: 2) }
  @inlinable public static var hostAddressSpaceSize: Self { Self(bit: 9) }
  @inlinable public static var loadPerfGlobalCtrl: Self { Self(bit: 12) }
  @inlinable public static var acknowledgeInterruptOnExit: Self { Self(bit: 15) }
  @inlinable public static var savePAT: Self { Self(bit: 18) }
  @inlinable public static var loadPAT: Self { Self(bit: 19) }
  @inlinable public static var saveEFER: Self { Self(bit: 20) }
  @inlinable public static var loadEFER: Self { Self(bit: 21) }
  @inlinable public static var savePreemptionTimerValue: Self { Self(bit: 22) }
  @inlinable public static var clearBndcfgs: Self { Self(bit: 23) }
  @inlinable public static var concealVMXFromPT: Self { Self(bit: 24) }
  @inlinable public static var clearRTITCtl: Self { Self(bit: 25) }
  @inlinable public static var clearLBRCtl: Self { Self(bit: 26) }
  @inlinable public static var clearUINV: Self { Self(bit: 27) }
  @inlinable public static var loadCETState: Self { Self(bit: 28) }
  @inlinable public static var loadPKRS: Self { Self(bit: 29) }
  @inlinable public static var savePerfGlobalCtrl: Self { Self(bit: 30) }
  @inlinable public static var activateSecondaryControls: Self { Self(bit: 31) }

  @inlinable public static var kind: ControlWordKind { .exit }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<18, ControlName> = [
    ControlName(Self.saveDebugControls, "Save debug controls"),
    ControlName(Self.hostAddressSpaceSize, "Host address-space size"),
    ControlName(Self.loadPerfGlobalCtrl, "Load IA32_PERF_GLOBAL_CTRL"),
    ControlName(Self.acknowledgeInterruptOnExit, "Acknowledge interrupt on exit"),
    ControlName(Self.savePAT, "Save IA32_PAT"),
    ControlName(Self.loadPAT, "Load IA32_PAT"),
    ControlName(Self.saveEFER, "Save IA32_EFER"),
    ControlName(Self.loadEFER, "Load IA32_EFER"),
    ControlName(Self.savePreemptionTimerValue, "Save VMX-preemption timer value"),
    ControlName(Self.clearBndcfgs, "Clear IA32_BNDCFGS"),
    ControlName(Self.concealVMXFromPT, "Conceal VMX from PT"),
    ControlName(Self.clearRTITCtl, "Clear IA32_RTIT_CTL"),
    ControlName(Self.clearLBRCtl, "Clear IA32_LBR_CTL"),
    ControlName(Self.clearUINV, "Clear UINV"),
    ControlName(Self.loadCETState, "Load CET state"),
    ControlName(Self.loadPKRS, "Load PKRS"),
    ControlName(Self.savePerfGlobalCtrl, "Save IA32_PERF_GLOBAL_CTRL"),
    ControlName(Self.activateSecondaryControls, "Activate secondary controls"),
  ]
}

/// The secondary VM-exit controls.
///
/// Source: SDM volume 3, "Definitions of Secondary VM-Exit Controls".
public struct SecondaryExitControls: ControlWord {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var saveFRED: Self { Self(bit: 0) }
  @inlinable public static var loadFRED: Self { Self(bit: 1) }
  @inlinable public static var loadSpecCtrl: Self { Self(bit: 2) }
  @inlinable public static var prematurelyBusyShadowStack: Self { Self(bit: 3) }

  @inlinable public static var kind: ControlWordKind { .secondaryExit }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<4, ControlName> = [
    ControlName(Self.saveFRED, "Save FRED"),
    ControlName(Self.loadFRED, "Load FRED"),
    ControlName(Self.loadSpecCtrl, "Load IA32_SPEC_CTRL"),
    ControlName(Self.prematurelyBusyShadowStack, "Prematurely busy shadow stack"),
  ]
}
