/// The primary processor-based VM-execution controls: synchronous events.
///
/// Source: SDM volume 3, "Definitions of Primary Processor-Based VM-Execution Controls".
public struct PrimaryProcessorBasedControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var interruptWindowExiting: Self { Self(bit: 2) }
  @inlinable public static var useTSCOffsetting: Self { Self(bit: 3) }
  @inlinable public static var hltExiting: Self { Self(bit: 7) }
  @inlinable public static var invlpgExiting: Self { Self(bit: 9) }
  @inlinable public static var mwaitExiting: Self { Self(bit: 10) }
  @inlinable public static var rdpmcExiting: Self { Self(bit: 11) }
  @inlinable public static var rdtscExiting: Self { Self(bit: 12) }
  @inlinable public static var cr3LoadExiting: Self { Self(bit: 15) }
  @inlinable public static var cr3StoreExiting: Self { Self(bit: 16) }
  @inlinable public static var activateTertiaryControls: Self { Self(bit: 17) }
  @inlinable public static var cr8LoadExiting: Self { Self(bit: 19) }
  @inlinable public static var cr8StoreExiting: Self { Self(bit: 20) }
  @inlinable public static var useTPRShadow: Self { Self(bit: 21) }
  @inlinable public static var nmiWindowExiting: Self { Self(bit: 22) }
  @inlinable public static var movDRExiting: Self { Self(bit: 23) }
  @inlinable public static var unconditionalIOExiting: Self { Self(bit: 24) }
  @inlinable public static var useIOBitmaps: Self { Self(bit: 25) }
  @inlinable public static var monitorTrapFlag: Self { Self(bit: 27) }
  @inlinable public static var useMSRBitmaps: Self { Self(bit: 28) }
  @inlinable public static var monitorExiting: Self { Self(bit: 29) }
  @inlinable public static var pauseExiting: Self { Self(bit: 30) }
  @inlinable public static var activateSecondaryControls: Self { Self(bit: 31) }

  @inlinable public static var kind: ControlWordKind { .primaryProcessorBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<22, ControlName> = [
    ControlName(Self.interruptWindowExiting, "Interrupt-window exiting"),
    ControlName(Self.useTSCOffsetting, "Use TSC offsetting"),
    ControlName(Self.hltExiting, "HLT exiting"),
    ControlName(Self.invlpgExiting, "INVLPG exiting"),
    ControlName(Self.mwaitExiting, "MWAIT exiting"),
    ControlName(Self.rdpmcExiting, "RDPMC exiting"),
    ControlName(Self.rdtscExiting, "RDTSC exiting"),
    ControlName(Self.cr3LoadExiting, "CR3-load exiting"),
    ControlName(Self.cr3StoreExiting, "CR3-store exiting"),
    ControlName(Self.activateTertiaryControls, "Activate tertiary controls"),
    ControlName(Self.cr8LoadExiting, "CR8-load exiting"),
    ControlName(Self.cr8StoreExiting, "CR8-store exiting"),
    ControlName(Self.useTPRShadow, "Use TPR shadow"),
    ControlName(Self.nmiWindowExiting, "NMI-window exiting"),
    ControlName(Self.movDRExiting, "MOV-DR exiting"),
    ControlName(Self.unconditionalIOExiting, "Unconditional I/O exiting"),
    ControlName(Self.useIOBitmaps, "Use I/O bitmaps"),
    ControlName(Self.monitorTrapFlag, "Monitor trap flag"),
    ControlName(Self.useMSRBitmaps, "Use MSR bitmaps"),
    ControlName(Self.monitorExiting, "MONITOR exiting"),
    ControlName(Self.pauseExiting, "PAUSE exiting"),
    ControlName(Self.activateSecondaryControls, "Activate secondary controls"),
  ]
}

/// The secondary processor-based VM-execution controls.
///
/// Source: SDM volume 3, "Definitions of Secondary Processor-Based VM-Execution Controls".
public struct SecondaryProcessorBasedControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var virtualizeAPICAccesses: Self { Self(bit: 0) }
  @inlinable public static var enableEPT: Self { Self(bit: 1) }
  @inlinable public static var descriptorTableExiting: Self { Self(bit: 2) }
  @inlinable public static var enableRDTSCP: Self { Self(bit: 3) }
  @inlinable public static var virtualizeX2APICMode: Self { Self(bit: 4) }
  @inlinable public static var enableVPID: Self { Self(bit: 5) }
  @inlinable public static var wbinvdExiting: Self { Self(bit: 6) }
  @inlinable public static var unrestrictedGuest: Self { Self(bit: 7) }
  @inlinable public static var apicRegisterVirtualization: Self { Self(bit: 8) }
  @inlinable public static var virtualInterruptDelivery: Self { Self(bit: 9) }
  @inlinable public static var pauseLoopExiting: Self { Self(bit: 10) }
  @inlinable public static var rdrandExiting: Self { Self(bit: 11) }
  @inlinable public static var enableINVPCID: Self { Self(bit: 12) }
  @inlinable public static var enableVMFunctions: Self { Self(bit: 13) }
  @inlinable public static var vmcsShadowing: Self { Self(bit: 14) }
  @inlinable public static var enclsExiting: Self { Self(bit: 15) }
  @inlinable public static var rdseedExiting: Self { Self(bit: 16) }
  @inlinable public static var enablePML: Self { Self(bit: 17) }
  @inlinable public static var eptViolationVE: Self { Self(bit: 18) }
  @inlinable public static var concealVMXFromPT: Self { Self(bit: 19) }
  @inlinable public static var enableXSAVES: Self { Self(bit: 20) }
  @inlinable public static var pasidTranslation: Self { Self(bit: 21) }
  @inlinable public static var modeBasedExecuteControlForEPT: Self { Self(bit: 22) }
  @inlinable public static var subPageWritePermissionsForEPT: Self { Self(bit: 23) }
  @inlinable public static var ptUsesGuestPhysicalAddresses: Self { Self(bit: 24) }
  @inlinable public static var useTSCScaling: Self { Self(bit: 25) }
  @inlinable public static var enableUserWaitAndPause: Self { Self(bit: 26) }
  @inlinable public static var enablePCONFIG: Self { Self(bit: 27) }
  @inlinable public static var enableENCLVExiting: Self { Self(bit: 28) }
  @inlinable public static var vmmBusLockDetection: Self { Self(bit: 30) }
  @inlinable public static var instructionTimeout: Self { Self(bit: 31) }

  @inlinable public static var kind: ControlWordKind { .secondaryProcessorBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<31, ControlName> = [
    ControlName(Self.virtualizeAPICAccesses, "Virtualize APIC accesses"),
    ControlName(Self.enableEPT, "Enable EPT"),
    ControlName(Self.descriptorTableExiting, "Descriptor-table exiting"),
    ControlName(Self.enableRDTSCP, "Enable RDTSCP"),
    ControlName(Self.virtualizeX2APICMode, "Virtualize x2APIC mode"),
    ControlName(Self.enableVPID, "Enable VPID"),
    ControlName(Self.wbinvdExiting, "WBINVD exiting"),
    ControlName(Self.unrestrictedGuest, "Unrestricted guest"),
    ControlName(Self.apicRegisterVirtualization, "APIC-register virtualization"),
    ControlName(Self.virtualInterruptDelivery, "Virtual-interrupt delivery"),
    ControlName(Self.pauseLoopExiting, "PAUSE-loop exiting"),
    ControlName(Self.rdrandExiting, "RDRAND exiting"),
    ControlName(Self.enableINVPCID, "Enable INVPCID"),
    ControlName(Self.enableVMFunctions, "Enable VM functions"),
    ControlName(Self.vmcsShadowing, "VMCS shadowing"),
    ControlName(Self.enclsExiting, "Enable ENCLS exiting"),
    ControlName(Self.rdseedExiting, "RDSEED exiting"),
    ControlName(Self.enablePML, "Enable PML"),
    ControlName(Self.eptViolationVE, "EPT-violation #VE"),
    ControlName(Self.concealVMXFromPT, "Conceal VMX from PT"),
    ControlName(Self.enableXSAVES, "Enable XSAVES/XRSTORS"),
    ControlName(Self.pasidTranslation, "PASID translation"),
    ControlName(Self.modeBasedExecuteControlForEPT, "Mode-based execute control for EPT"),
    ControlName(Self.subPageWritePermissionsForEPT, "Sub-page write permissions for EPT"),
    ControlName(Self.ptUsesGuestPhysicalAddresses, "Intel PT uses guest physical addresses"),
    ControlName(Self.useTSCScaling, "Use TSC scaling"),
    ControlName(Self.enableUserWaitAndPause, "Enable user wait and pause"),
    ControlName(Self.enablePCONFIG, "Enable PCONFIG"),
    ControlName(Self.enableENCLVExiting, "Enable ENCLV exiting"),
    ControlName(Self.vmmBusLockDetection, "VMM bus-lock detection"),
    ControlName(Self.instructionTimeout, "Instruction timeout"),
  ]
}

/// The tertiary processor-based VM-execution controls.
///
/// Source: SDM volume 3, "Definitions of Tertiary Processor-Based VM-Execution Controls".
public struct TertiaryProcessorBasedControls: ControlWord {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var loadiwkeyExiting: Self { Self(bit: 0) }
  @inlinable public static var enableHLAT: Self { Self(bit: 1) }
  @inlinable public static var eptPagingWriteControl: Self { Self(bit: 2) }
  @inlinable public static var guestPagingVerification: Self { Self(bit: 3) }
  @inlinable public static var ipiVirtualization: Self { Self(bit: 4) }
  @inlinable public static var enableMSRListInstructions: Self { Self(bit: 6) }
  @inlinable public static var virtualizeSpecCtrl: Self { Self(bit: 7) }
  @inlinable public static var apicTimerVirtualization: Self { Self(bit: 8) }

  @inlinable public static var kind: ControlWordKind { .tertiaryProcessorBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<8, ControlName> = [
    ControlName(Self.loadiwkeyExiting, "LOADIWKEY exiting"),
    ControlName(Self.enableHLAT, "Enable HLAT"),
    ControlName(Self.eptPagingWriteControl, "EPT paging-write control"),
    ControlName(Self.guestPagingVerification, "Guest-paging verification"),
    ControlName(Self.ipiVirtualization, "IPI virtualization"),
    ControlName(Self.enableMSRListInstructions, "Enable MSR-list instructions"),
    ControlName(Self.virtualizeSpecCtrl, "Virtualize IA32_SPEC_CTRL"),
    ControlName(Self.apicTimerVirtualization, "APIC-timer virtualization"),
  ]
}

/// The VM-function controls: which VM functions VMFUNC may use.
///
/// Source: SDM volume 3, "VM-Function Controls".
public struct VMFunctionControls: ControlWord {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable public static var eptpSwitching: Self { Self(bit: 0) }

  @inlinable public static var kind: ControlWordKind { .vmFunction }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<1, ControlName> = [
    ControlName(Self.eptpSwitching, "EPTP switching")
  ]
}
