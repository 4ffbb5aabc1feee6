import VMX

/// How each bit of a word of controls in vmcs02 comes about. A bit of no set is 0, but for what the processor fixes.
public struct ControlMerge: Equatable, Sendable {
  /// 1 if L0 or L1 wants it: it asks for a VM exit.
  public var union: UInt64 = 0
  /// 1 if both give it to L2.
  public var intersection: UInt64 = 0
  /// As in vmcs12.
  public var fromL1: UInt64 = 0
  /// As in vmcs01.
  public var fromL0: UInt64 = 0
  /// Decided by what L0 prepared, or by other controls: the bitmaps, the preemption timer, who virtualizes NMIs and the
  /// TPR.
  public var derived: UInt64 = 0
  /// 1, because L0 keeps L2's and L1's values apart by it.
  public var always: UInt64 = 0
  /// 0, because L0 itself does for L2 what L1 asks for.
  public var performed: UInt64 = 0

  /// The word, before the processor's fixed settings; `derived` are the derived bits that are 1.
  @inlinable
  func merged(_ word01: UInt64, _ word12: UInt64, derived derivedBits: UInt64) -> UInt64 {
    (word01 | word12) & union | word01 & word12 & intersection | word12 & fromL1 | word01 & fromL0
      | derivedBits & derived | always
  }

  /// The bits that any set has.
  package var coveredBits: UInt64 { union | intersection | fromL1 | fromL0 | derived | always | performed }
}

extension ControlMerge {
  /// The rule of each bit of the word `kind`; a word that vmcs02 does not have gets no bit.
  public init(of kind: ControlWordKind) {
    switch kind {
    case .pinBased: self = .pinBased
    case .primaryProcessorBased: self = .primary
    case .secondaryProcessorBased: self = .secondary
    case .exit: self = .exit
    case .entry: self = .entry
    case .tertiaryProcessorBased, .secondaryExit, .vmFunction: self = Self()
    }
  }

  @inlinable
  static func pin(_ controls: PinBasedControls) -> UInt64 { UInt64(controls.rawValue) }
  @inlinable
  static func primary(_ controls: PrimaryProcessorBasedControls) -> UInt64 { UInt64(controls.rawValue) }
  @inlinable
  static func secondary(_ controls: SecondaryProcessorBasedControls) -> UInt64 { UInt64(controls.rawValue) }
  @inlinable
  static func exit(_ controls: PrimaryExitControls) -> UInt64 { UInt64(controls.rawValue) }
  @inlinable
  static func entry(_ controls: EntryControls) -> UInt64 { UInt64(controls.rawValue) }

  /// The pin-based controls. An L2 whose NMIs L1 does not intercept has them virtualized by L0, as L1 has. L1's posted
  /// interrupts are processed by L0 (`VirtualVMX.processPostedInterrupts`).
  static var pinBased: Self {
    Self(
      union: pin([.externalInterruptExiting, .nmiExiting]),
      fromL1: pin([.activatePreemptionTimer]), derived: pin([.virtualNMIs]),
      performed: pin([.processPostedInterrupts]))
  }

  /// The primary processor-based controls.
  static var primary: Self {
    Self(
      union: primary([
        .useTSCOffsetting, .hltExiting, .invlpgExiting, .mwaitExiting, .rdpmcExiting, .rdtscExiting,
        .cr3LoadExiting, .cr3StoreExiting, .movDRExiting, .monitorTrapFlag,
        .monitorExiting, .pauseExiting, .activateSecondaryControls,
      ]),
      fromL1: primary([.interruptWindowExiting, .useTPRShadow, .nmiWindowExiting]),
      derived: primary([
        .unconditionalIOExiting, .useIOBitmaps, .useMSRBitmaps, .cr8LoadExiting, .cr8StoreExiting,
      ]))
  }

  /// The secondary processor-based controls. What enables an instruction is given by both; EPT and VPID are L0's.
  static var secondary: Self {
    Self(
      union: secondary([.descriptorTableExiting, .wbinvdExiting, .rdrandExiting, .rdseedExiting]),
      intersection: secondary([.enableRDTSCP, .enableINVPCID, .enableUserWaitAndPause, .enableXSAVES]),
      fromL1: secondary([
        .unrestrictedGuest, .pauseLoopExiting, .virtualizeAPICAccesses, .virtualizeX2APICMode,
        .apicRegisterVirtualization, .virtualInterruptDelivery, .vmcsShadowing,
        .modeBasedExecuteControlForEPT, .enableVMFunctions,
      ]),
      fromL0: secondary([.enableEPT, .enableVPID]),
      derived: secondary([.useTSCScaling]),
      performed: secondary([.enablePML, .eptViolationVE]))
  }

  /// The VM-exit controls. VM exits go to L0; L1's controls are performed when L0 reflects one.
  static var exit: Self {
    Self(
      fromL0: exit([.hostAddressSpaceSize, .acknowledgeInterruptOnExit, .loadPAT, .loadEFER]),
      derived: exit([.savePreemptionTimerValue]),
      always: exit([.saveDebugControls, .savePAT, .saveEFER]))
  }

  /// The VM-entry controls.
  static var entry: Self {
    Self(
      fromL1: entry([.ia32eModeGuest]),
      always: entry([.loadDebugControls, .loadPAT, .loadEFER]))
  }
}
