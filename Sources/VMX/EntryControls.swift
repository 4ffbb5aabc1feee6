/// The VM-entry controls.
///
/// Source: SDM volume 3, "Definitions of VM-Entry Controls".
public struct EntryControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var loadDebugControls: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var ia32eModeGuest: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var entryToSMM: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var deactivateDualMonitorTreatment: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var loadPerfGlobalCtrl: Self { Self(rawValue: 1 << 13) }
  @inlinable public static var loadPAT: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var loadEFER: Self { Self(rawValue: 1 << 15) }
  @inlinable public static var loadBndcfgs: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var concealVMXFromPT: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var loadRTITCtl: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var loadUINV: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var loadCETState: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var loadLBRCtl: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var loadPKRS: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var loadFRED: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var loadSpecCtrl: Self { Self(rawValue: 1 << 24) }

  @inlinable public static var kind: ControlWordKind { .entry }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<16, ControlName> = [
    ControlName(UInt64(Self.loadDebugControls.rawValue), "Load debug controls"),
    ControlName(UInt64(Self.ia32eModeGuest.rawValue), "IA-32e mode guest"),
    ControlName(UInt64(Self.entryToSMM.rawValue), "Entry to SMM"),
    ControlName(UInt64(Self.deactivateDualMonitorTreatment.rawValue), "Deactivate dual-monitor treatment"),
    ControlName(UInt64(Self.loadPerfGlobalCtrl.rawValue), "Load IA32_PERF_GLOBAL_CTRL"),
    ControlName(UInt64(Self.loadPAT.rawValue), "Load IA32_PAT"),
    ControlName(UInt64(Self.loadEFER.rawValue), "Load IA32_EFER"),
    ControlName(UInt64(Self.loadBndcfgs.rawValue), "Load IA32_BNDCFGS"),
    ControlName(UInt64(Self.concealVMXFromPT.rawValue), "Conceal VMX from PT"),
    ControlName(UInt64(Self.loadRTITCtl.rawValue), "Load IA32_RTIT_CTL"),
    ControlName(UInt64(Self.loadUINV.rawValue), "Load UINV"),
    ControlName(UInt64(Self.loadCETState.rawValue), "Load CET state"),
    ControlName(UInt64(Self.loadLBRCtl.rawValue), "Load guest IA32_LBR_CTL"),
    ControlName(UInt64(Self.loadPKRS.rawValue), "Load PKRS"),
    ControlName(UInt64(Self.loadFRED.rawValue), "Load FRED"),
    ControlName(UInt64(Self.loadSpecCtrl.rawValue), "Load IA32_SPEC_CTRL"),
  ]
}
