/// The primary processor-based VM-execution controls: synchronous events.
///
/// Source: SDM volume 3, "Definitions of Primary Processor-Based VM-Execution Controls".
public struct PrimaryProcessorBasedControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var interruptWindowExiting: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var useTSCOffsetting: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var hltExiting: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var invlpgExiting: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var mwaitExiting: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var rdpmcExiting: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var rdtscExiting: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var cr3LoadExiting: Self { Self(rawValue: 1 << 15) }
  @inlinable public static var cr3StoreExiting: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var activateTertiaryControls: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var cr8LoadExiting: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var cr8StoreExiting: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var useTPRShadow: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var nmiWindowExiting: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var movDRExiting: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var unconditionalIOExiting: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var useIOBitmaps: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var monitorTrapFlag: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var useMSRBitmaps: Self { Self(rawValue: 1 << 28) }
  @inlinable public static var monitorExiting: Self { Self(rawValue: 1 << 29) }
  @inlinable public static var pauseExiting: Self { Self(rawValue: 1 << 30) }
  @inlinable public static var activateSecondaryControls: Self { Self(rawValue: 1 << 31) }

  @inlinable public static var kind: ControlWordKind { .primaryProcessorBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<22, ControlName> = [
    ControlName(UInt64(Self.interruptWindowExiting.rawValue), "Interrupt-window exiting"),
    ControlName(UInt64(Self.useTSCOffsetting.rawValue), "Use TSC offsetting"),
    ControlName(UInt64(Self.hltExiting.rawValue), "HLT exiting"),
    ControlName(UInt64(Self.invlpgExiting.rawValue), "INVLPG exiting"),
    ControlName(UInt64(Self.mwaitExiting.rawValue), "MWAIT exiting"),
    ControlName(UInt64(Self.rdpmcExiting.rawValue), "RDPMC exiting"),
    ControlName(UInt64(Self.rdtscExiting.rawValue), "RDTSC exiting"),
    ControlName(UInt64(Self.cr3LoadExiting.rawValue), "CR3-load exiting"),
    ControlName(UInt64(Self.cr3StoreExiting.rawValue), "CR3-store exiting"),
    ControlName(UInt64(Self.activateTertiaryControls.rawValue), "Activate tertiary controls"),
    ControlName(UInt64(Self.cr8LoadExiting.rawValue), "CR8-load exiting"),
    ControlName(UInt64(Self.cr8StoreExiting.rawValue), "CR8-store exiting"),
    ControlName(UInt64(Self.useTPRShadow.rawValue), "Use TPR shadow"),
    ControlName(UInt64(Self.nmiWindowExiting.rawValue), "NMI-window exiting"),
    ControlName(UInt64(Self.movDRExiting.rawValue), "MOV-DR exiting"),
    ControlName(UInt64(Self.unconditionalIOExiting.rawValue), "Unconditional I/O exiting"),
    ControlName(UInt64(Self.useIOBitmaps.rawValue), "Use I/O bitmaps"),
    ControlName(UInt64(Self.monitorTrapFlag.rawValue), "Monitor trap flag"),
    ControlName(UInt64(Self.useMSRBitmaps.rawValue), "Use MSR bitmaps"),
    ControlName(UInt64(Self.monitorExiting.rawValue), "MONITOR exiting"),
    ControlName(UInt64(Self.pauseExiting.rawValue), "PAUSE exiting"),
    ControlName(UInt64(Self.activateSecondaryControls.rawValue), "Activate secondary controls"),
  ]
}

/// The secondary processor-based VM-execution controls.
///
/// Source: SDM volume 3, "Definitions of Secondary Processor-Based VM-Execution Controls".
public struct SecondaryProcessorBasedControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var virtualizeAPICAccesses: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var enableEPT: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var descriptorTableExiting: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var enableRDTSCP: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var virtualizeX2APICMode: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var enableVPID: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var wbinvdExiting: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var unrestrictedGuest: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var apicRegisterVirtualization: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var virtualInterruptDelivery: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var pauseLoopExiting: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var rdrandExiting: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var enableINVPCID: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var enableVMFunctions: Self { Self(rawValue: 1 << 13) }
  @inlinable public static var vmcsShadowing: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var enclsExiting: Self { Self(rawValue: 1 << 15) }
  @inlinable public static var rdseedExiting: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var enablePML: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var eptViolationVE: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var concealVMXFromPT: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var enableXSAVES: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var pasidTranslation: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var modeBasedExecuteControlForEPT: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var subPageWritePermissionsForEPT: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var ptUsesGuestPhysicalAddresses: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var useTSCScaling: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var enableUserWaitAndPause: Self { Self(rawValue: 1 << 26) }
  @inlinable public static var enablePCONFIG: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var enableENCLVExiting: Self { Self(rawValue: 1 << 28) }
  @inlinable public static var vmmBusLockDetection: Self { Self(rawValue: 1 << 30) }
  @inlinable public static var instructionTimeout: Self { Self(rawValue: 1 << 31) }

  @inlinable public static var kind: ControlWordKind { .secondaryProcessorBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<31, ControlName> = [
    ControlName(UInt64(Self.virtualizeAPICAccesses.rawValue), "Virtualize APIC accesses"),
    ControlName(UInt64(Self.enableEPT.rawValue), "Enable EPT"),
    ControlName(UInt64(Self.descriptorTableExiting.rawValue), "Descriptor-table exiting"),
    ControlName(UInt64(Self.enableRDTSCP.rawValue), "Enable RDTSCP"),
    ControlName(UInt64(Self.virtualizeX2APICMode.rawValue), "Virtualize x2APIC mode"),
    ControlName(UInt64(Self.enableVPID.rawValue), "Enable VPID"),
    ControlName(UInt64(Self.wbinvdExiting.rawValue), "WBINVD exiting"),
    ControlName(UInt64(Self.unrestrictedGuest.rawValue), "Unrestricted guest"),
    ControlName(UInt64(Self.apicRegisterVirtualization.rawValue), "APIC-register virtualization"),
    ControlName(UInt64(Self.virtualInterruptDelivery.rawValue), "Virtual-interrupt delivery"),
    ControlName(UInt64(Self.pauseLoopExiting.rawValue), "PAUSE-loop exiting"),
    ControlName(UInt64(Self.rdrandExiting.rawValue), "RDRAND exiting"),
    ControlName(UInt64(Self.enableINVPCID.rawValue), "Enable INVPCID"),
    ControlName(UInt64(Self.enableVMFunctions.rawValue), "Enable VM functions"),
    ControlName(UInt64(Self.vmcsShadowing.rawValue), "VMCS shadowing"),
    ControlName(UInt64(Self.enclsExiting.rawValue), "Enable ENCLS exiting"),
    ControlName(UInt64(Self.rdseedExiting.rawValue), "RDSEED exiting"),
    ControlName(UInt64(Self.enablePML.rawValue), "Enable PML"),
    ControlName(UInt64(Self.eptViolationVE.rawValue), "EPT-violation #VE"),
    ControlName(UInt64(Self.concealVMXFromPT.rawValue), "Conceal VMX from PT"),
    ControlName(UInt64(Self.enableXSAVES.rawValue), "Enable XSAVES/XRSTORS"),
    ControlName(UInt64(Self.pasidTranslation.rawValue), "PASID translation"),
    ControlName(UInt64(Self.modeBasedExecuteControlForEPT.rawValue), "Mode-based execute control for EPT"),
    ControlName(UInt64(Self.subPageWritePermissionsForEPT.rawValue), "Sub-page write permissions for EPT"),
    ControlName(UInt64(Self.ptUsesGuestPhysicalAddresses.rawValue), "Intel PT uses guest physical addresses"),
    ControlName(UInt64(Self.useTSCScaling.rawValue), "Use TSC scaling"),
    ControlName(UInt64(Self.enableUserWaitAndPause.rawValue), "Enable user wait and pause"),
    ControlName(UInt64(Self.enablePCONFIG.rawValue), "Enable PCONFIG"),
    ControlName(UInt64(Self.enableENCLVExiting.rawValue), "Enable ENCLV exiting"),
    ControlName(UInt64(Self.vmmBusLockDetection.rawValue), "VMM bus-lock detection"),
    ControlName(UInt64(Self.instructionTimeout.rawValue), "Instruction timeout"),
  ]
}

/// The tertiary processor-based VM-execution controls.
///
/// Source: SDM volume 3, "Definitions of Tertiary Processor-Based VM-Execution Controls".
public struct TertiaryProcessorBasedControls: ControlWord {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var loadiwkeyExiting: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var enableHLAT: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var eptPagingWriteControl: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var guestPagingVerification: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var ipiVirtualization: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var enableMSRListInstructions: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var virtualizeSpecCtrl: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var apicTimerVirtualization: Self { Self(rawValue: 1 << 8) }

  @inlinable public static var kind: ControlWordKind { .tertiaryProcessorBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<8, ControlName> = [
    ControlName(UInt64(Self.loadiwkeyExiting.rawValue), "LOADIWKEY exiting"),
    ControlName(UInt64(Self.enableHLAT.rawValue), "Enable HLAT"),
    ControlName(UInt64(Self.eptPagingWriteControl.rawValue), "EPT paging-write control"),
    ControlName(UInt64(Self.guestPagingVerification.rawValue), "Guest-paging verification"),
    ControlName(UInt64(Self.ipiVirtualization.rawValue), "IPI virtualization"),
    ControlName(UInt64(Self.enableMSRListInstructions.rawValue), "Enable MSR-list instructions"),
    ControlName(UInt64(Self.virtualizeSpecCtrl.rawValue), "Virtualize IA32_SPEC_CTRL"),
    ControlName(UInt64(Self.apicTimerVirtualization.rawValue), "APIC-timer virtualization"),
  ]
}

/// The VM-function controls: which VM functions VMFUNC may use.
///
/// Source: SDM volume 3, "VM-Function Controls".
public struct VMFunctionControls: ControlWord {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var eptpSwitching: Self { Self(rawValue: 1 << 0) }

  @inlinable public static var kind: ControlWordKind { .vmFunction }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<1, ControlName> = [
    ControlName(UInt64(Self.eptpSwitching.rawValue), "EPTP switching")
  ]
}
