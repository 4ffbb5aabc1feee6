/// A model-specific register by its index, the operand of RDMSR and WRMSR in ECX.
///
/// Source: SDM volume 4, "Architectural MSRs".
public struct ModelSpecificRegister: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable
  init(_ rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var timeStampCounter: Self { Self(0x10) }
  @inlinable public static var platformID: Self { Self(0x17) }
  @inlinable public static var apicBase: Self { Self(0x1B) }
  @inlinable public static var featureControl: Self { Self(0x3A) }
  @inlinable public static var tscAdjust: Self { Self(0x3B) }
  @inlinable public static var smiCount: Self { Self(0x34) }
  @inlinable public static var specCtrl: Self { Self(0x48) }
  @inlinable public static var predCmd: Self { Self(0x49) }
  @inlinable public static var biosUpdateTrigger: Self { Self(0x79) }
  @inlinable public static var biosSignature: Self { Self(0x8B) }
  @inlinable public static var platformInformation: Self { Self(0xCE) }
  @inlinable public static var umwaitControl: Self { Self(0xE1) }
  @inlinable public static var mtrrCapability: Self { Self(0xFE) }
  @inlinable public static var archCapabilities: Self { Self(0x10A) }
  @inlinable public static var flushCmd: Self { Self(0x10B) }
  @inlinable public static var miscFeatureEnables: Self { Self(0x140) }
  @inlinable public static var sysenterCS: Self { Self(0x174) }
  @inlinable public static var sysenterESP: Self { Self(0x175) }
  @inlinable public static var sysenterEIP: Self { Self(0x176) }
  @inlinable public static var mcgCapability: Self { Self(0x179) }
  @inlinable public static var mcgStatus: Self { Self(0x17A) }
  @inlinable public static var mcgControl: Self { Self(0x17B) }
  @inlinable public static var performanceStatus: Self { Self(0x198) }
  @inlinable public static var miscEnable: Self { Self(0x1A0) }
  @inlinable public static var debugCtl: Self { Self(0x1D9) }
  @inlinable public static var pat: Self { Self(0x277) }
  @inlinable public static var mtrrDefaultType: Self { Self(0x2FF) }
  @inlinable public static var perfGlobalCtrl: Self { Self(0x38F) }
  @inlinable public static var vmxBasic: Self { Self(0x480) }
  @inlinable public static var vmxPinBasedControls: Self { Self(0x481) }
  @inlinable public static var vmxProcessorBasedControls: Self { Self(0x482) }
  @inlinable public static var vmxExitControls: Self { Self(0x483) }
  @inlinable public static var vmxEntryControls: Self { Self(0x484) }
  @inlinable public static var vmxMiscellaneous: Self { Self(0x485) }
  @inlinable public static var vmxCR0Fixed0: Self { Self(0x486) }
  @inlinable public static var vmxCR0Fixed1: Self { Self(0x487) }
  @inlinable public static var vmxCR4Fixed0: Self { Self(0x488) }
  @inlinable public static var vmxCR4Fixed1: Self { Self(0x489) }
  @inlinable public static var vmxVMCSEnumeration: Self { Self(0x48A) }
  @inlinable public static var vmxSecondaryProcessorBasedControls: Self { Self(0x48B) }
  @inlinable public static var vmxEPTAndVPIDCapability: Self { Self(0x48C) }
  @inlinable public static var vmxTruePinBasedControls: Self { Self(0x48D) }
  @inlinable public static var vmxTrueProcessorBasedControls: Self { Self(0x48E) }
  @inlinable public static var vmxTrueExitControls: Self { Self(0x48F) }
  @inlinable public static var vmxTrueEntryControls: Self { Self(0x490) }
  @inlinable public static var vmxFunctions: Self { Self(0x491) }
  @inlinable public static var vmxTertiaryProcessorBasedControls: Self { Self(0x492) }
  @inlinable public static var vmxSecondaryExitControls: Self { Self(0x493) }
  @inlinable public static var sCET: Self { Self(0x6A2) }
  @inlinable public static var interruptSSPTable: Self { Self(0x6A8) }
  @inlinable public static var tscDeadline: Self { Self(0x6E0) }
  @inlinable public static var pkrs: Self { Self(0x6E1) }
  @inlinable public static var x2APICFirst: Self { Self(0x800) }
  @inlinable public static var x2APICICR: Self { Self(0x830) }
  @inlinable public static var x2APICLast: Self { Self(0x8FF) }
  @inlinable public static var bndcfgs: Self { Self(0xD90) }
  @inlinable public static var xss: Self { Self(0xDA0) }
  @inlinable public static var efer: Self { Self(0xC000_0080) }
  @inlinable public static var star: Self { Self(0xC000_0081) }
  @inlinable public static var lstar: Self { Self(0xC000_0082) }
  @inlinable public static var cstar: Self { Self(0xC000_0083) }
  @inlinable public static var fmask: Self { Self(0xC000_0084) }
  @inlinable public static var fsBase: Self { Self(0xC000_0100) }
  @inlinable public static var gsBase: Self { Self(0xC000_0101) }
  @inlinable public static var kernelGSBase: Self { Self(0xC000_0102) }
  @inlinable public static var tscAux: Self { Self(0xC000_0103) }

  /// The SDM's name, such as `IA32_EFER`, or nil if this type has no name for the register.
  public var name: StaticString? {
    for position in 0..<Self.names.count where Self.names[position].register == self {
      return Self.names[position].name
    }
    return nil
  }

  /// A register and the SDM's name of it.
  public struct Name: Sendable {
    public let register: ModelSpecificRegister
    public let name: StaticString

    @inlinable
    init(_ register: ModelSpecificRegister, _ name: StaticString) {
      self.register = register
      self.name = name
    }
  }

  /// The registers that have a name here, in the order of their indices.
  public static let names: InlineArray<65, Name> = [
    Name(.timeStampCounter, "IA32_TIME_STAMP_COUNTER"),
    Name(.platformID, "IA32_PLATFORM_ID"),
    Name(.apicBase, "IA32_APIC_BASE"),
    Name(.smiCount, "MSR_SMI_COUNT"),
    Name(.featureControl, "IA32_FEATURE_CONTROL"),
    Name(.tscAdjust, "IA32_TSC_ADJUST"),
    Name(.specCtrl, "IA32_SPEC_CTRL"),
    Name(.predCmd, "IA32_PRED_CMD"),
    Name(.biosUpdateTrigger, "IA32_BIOS_UPDT_TRIG"),
    Name(.biosSignature, "IA32_BIOS_SIGN_ID"),
    Name(.platformInformation, "MSR_PLATFORM_INFO"),
    Name(.mtrrCapability, "IA32_MTRRCAP"),
    Name(.archCapabilities, "IA32_ARCH_CAPABILITIES"),
    Name(.flushCmd, "IA32_FLUSH_CMD"),
    Name(.miscFeatureEnables, "MSR_MISC_FEATURES_ENABLES"),
    Name(.sysenterCS, "IA32_SYSENTER_CS"),
    Name(.sysenterESP, "IA32_SYSENTER_ESP"),
    Name(.sysenterEIP, "IA32_SYSENTER_EIP"),
    Name(.mcgCapability, "IA32_MCG_CAP"),
    Name(.mcgStatus, "IA32_MCG_STATUS"),
    Name(.mcgControl, "IA32_MCG_CTL"),
    Name(.performanceStatus, "IA32_PERF_STATUS"),
    Name(.miscEnable, "IA32_MISC_ENABLE"),
    Name(.debugCtl, "IA32_DEBUGCTL"),
    Name(.pat, "IA32_PAT"),
    Name(.mtrrDefaultType, "IA32_MTRR_DEF_TYPE"),
    Name(.perfGlobalCtrl, "IA32_PERF_GLOBAL_CTRL"),
    Name(.vmxBasic, "IA32_VMX_BASIC"),
    Name(.vmxPinBasedControls, "IA32_VMX_PINBASED_CTLS"),
    Name(.vmxProcessorBasedControls, "IA32_VMX_PROCBASED_CTLS"),
    Name(.vmxExitControls, "IA32_VMX_EXIT_CTLS"),
    Name(.vmxEntryControls, "IA32_VMX_ENTRY_CTLS"),
    Name(.vmxMiscellaneous, "IA32_VMX_MISC"),
    Name(.vmxCR0Fixed0, "IA32_VMX_CR0_FIXED0"),
    Name(.vmxCR0Fixed1, "IA32_VMX_CR0_FIXED1"),
    Name(.vmxCR4Fixed0, "IA32_VMX_CR4_FIXED0"),
    Name(.vmxCR4Fixed1, "IA32_VMX_CR4_FIXED1"),
    Name(.vmxVMCSEnumeration, "IA32_VMX_VMCS_ENUM"),
    Name(.vmxSecondaryProcessorBasedControls, "IA32_VMX_PROCBASED_CTLS2"),
    Name(.vmxEPTAndVPIDCapability, "IA32_VMX_EPT_VPID_CAP"),
    Name(.vmxTruePinBasedControls, "IA32_VMX_TRUE_PINBASED_CTLS"),
    Name(.vmxTrueProcessorBasedControls, "IA32_VMX_TRUE_PROCBASED_CTLS"),
    Name(.vmxTrueExitControls, "IA32_VMX_TRUE_EXIT_CTLS"),
    Name(.vmxTrueEntryControls, "IA32_VMX_TRUE_ENTRY_CTLS"),
    Name(.vmxFunctions, "IA32_VMX_VMFUNC"),
    Name(.vmxTertiaryProcessorBasedControls, "IA32_VMX_PROCBASED_CTLS3"),
    Name(.vmxSecondaryExitControls, "IA32_VMX_EXIT_CTLS2"),
    Name(.sCET, "IA32_S_CET"),
    Name(.interruptSSPTable, "IA32_INTERRUPT_SSP_TABLE_ADDR"),
    Name(.tscDeadline, "IA32_TSC_DEADLINE"),
    Name(.pkrs, "IA32_PKRS"),
    Name(.x2APICFirst, "IA32_X2APIC_FIRST"),
    Name(.x2APICICR, "IA32_X2APIC_ICR"),
    Name(.x2APICLast, "IA32_X2APIC_LAST"),
    Name(.bndcfgs, "IA32_BNDCFGS"),
    Name(.xss, "IA32_XSS"),
    Name(.efer, "IA32_EFER"),
    Name(.star, "IA32_STAR"),
    Name(.lstar, "IA32_LSTAR"),
    Name(.cstar, "IA32_CSTAR"),
    Name(.fmask, "IA32_FMASK"),
    Name(.fsBase, "IA32_FS_BASE"),
    Name(.gsBase, "IA32_GS_BASE"),
    Name(.kernelGSBase, "IA32_KERNEL_GS_BASE"),
    Name(.tscAux, "IA32_TSC_AUX"),
  ]
}
