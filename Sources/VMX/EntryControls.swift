/// The VM-entry controls.
///
/// Source: SDM volume 3, "Definitions of VM-Entry Controls".
public struct EntryControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var loadDebugControls: Self { Self(bit: 2) }
  @inlinable public static var ia32eModeGuest: Self { Self(bit: 9) }
  @inlinable public static var entryToSMM: Self { Self(bit: 10) }
  @inlinable public static var deactivateDualMonitorTreatment: Self { Self(bit: 11) }
  @inlinable public static var loadPerfGlobalCtrl: Self { Self(bit: 13) }
  @inlinable public static var loadPAT: Self { Self(bit: 14) }
  @inlinable public static var loadEFER: Self { Self(bit: 15) }
  @inlinable public static var loadBndcfgs: Self { Self(bit: 16) }
  @inlinable public static var concealVMXFromPT: Self { Self(bit: 17) }
  @inlinable public static var loadRTITCtl: Self { Self(bit: 18) }
  @inlinable public static var loadUINV: Self { Self(bit: 19) }
  @inlinable public static var loadCETState: Self { Self(bit: 20) }
  @inlinable public static var loadLBRCtl: Self { Self(bit: 21) }
  @inlinable public static var loadPKRS: Self { Self(bit: 22) }
  @inlinable public static var loadFRED: Self { Self(bit: 23) }
  @inlinable public static var loadSpecCtrl: Self { Self(bit: 24) }

  @inlinable public static var kind: ControlWordKind { .entry }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<16, ControlName> = [
    ControlName(Self.loadDebugControls, "Load debug controls"),
    ControlName(Self.ia32eModeGuest, "IA-32e mode guest"),
    ControlName(Self.entryToSMM, "Entry to SMM"),
    ControlName(Self.deactivateDualMonitorTreatment, "Deactivate dual-monitor treatment"),
    ControlName(Self.loadPerfGlobalCtrl, "Load IA32_PERF_GLOBAL_CTRL"),
    ControlName(Self.loadPAT, "Load IA32_PAT"),
    ControlName(Self.loadEFER, "Load IA32_EFER"),
    ControlName(Self.loadBndcfgs, "Load IA32_BNDCFGS"),
    ControlName(Self.concealVMXFromPT, "Conceal VMX from PT"),
    ControlName(Self.loadRTITCtl, "Load IA32_RTIT_CTL"),
    ControlName(Self.loadUINV, "Load UINV"),
    ControlName(Self.loadCETState, "Load CET state"),
    ControlName(Self.loadLBRCtl, "Load guest IA32_LBR_CTL"),
    ControlName(Self.loadPKRS, "Load PKRS"),
    ControlName(Self.loadFRED, "Load FRED"),
    ControlName(Self.loadSpecCtrl, "Load IA32_SPEC_CTRL"),
  ]
}
