/// A basic exit reason.
///
/// Source: SDM volume 3, appendix "VMX Basic Exit Reasons".
public enum ExitReason: UInt16, CaseIterable, Sendable {
  case exceptionOrNMI = 0
  case externalInterrupt = 1
  case tripleFault = 2
  case initSignal = 3
  case startupIPI = 4
  case ioSMI = 5
  case otherSMI = 6
  case interruptWindow = 7
  case nmiWindow = 8
  case taskSwitch = 9
  case cpuid = 10
  case getsec = 11
  case hlt = 12
  case invd = 13
  case invlpg = 14
  case rdpmc = 15
  case rdtsc = 16
  case rsm = 17
  case vmcall = 18
  case vmclear = 19
  case vmlaunch = 20
  case vmptrld = 21
  case vmptrst = 22
  case vmread = 23
  case vmresume = 24
  case vmwrite = 25
  case vmxoff = 26
  case vmxon = 27
  case controlRegisterAccess = 28
  case movDR = 29
  case ioInstruction = 30
  case rdmsr = 31
  case wrmsr = 32
  case entryFailureInvalidGuestState = 33
  case entryFailureMSRLoading = 34
  case mwait = 36
  case monitorTrapFlag = 37
  case monitor = 39
  case pause = 40
  case entryFailureMachineCheck = 41
  case tprBelowThreshold = 43
  case apicAccess = 44
  case virtualizedEOI = 45
  case gdtrOrIDTRAccess = 46
  case ldtrOrTRAccess = 47
  case eptViolation = 48
  case eptMisconfiguration = 49
  case invept = 50
  case rdtscp = 51
  case preemptionTimerExpired = 52
  case invvpid = 53
  case wbinvd = 54
  case xsetbv = 55
  case apicWrite = 56
  case rdrand = 57
  case invpcid = 58
  case vmfunc = 59
  case encls = 60
  case rdseed = 61
  case pageModificationLogFull = 62
  case xsaves = 63
  case xrstors = 64
  case pconfig = 65
  case sppRelatedEvent = 66
  case umwait = 67
  case tpause = 68
  case loadiwkey = 69
  case enclv = 70
  case enqcmdPASIDTranslationFailure = 72
  case enqcmdsPASIDTranslationFailure = 73
  case busLock = 74
  case instructionTimeout = 75
  case seamcall = 76
  case tdcall = 77
  case rdmsrlist = 78
  case wrmsrlist = 79
  case urdmsr = 80
  case uwrmsr = 81
  case rdmsrImmediate = 84
  case wrmsrImmediate = 85

  /// One more than the highest basic exit reason: the size of a table indexed by them.
  public static var limit: Int { 86 }

  /// The SDM's name in capitals, such as `EPT_VIOLATION`.
  public var name: StaticString {
    switch self {
    case .exceptionOrNMI: "EXCEPTION_OR_NMI"
    case .externalInterrupt: "EXTERNAL_INTERRUPT"
    case .tripleFault: "TRIPLE_FAULT"
    case .initSignal: "INIT_SIGNAL"
    case .startupIPI: "STARTUP_IPI"
    case .ioSMI: "IO_SMI"
    case .otherSMI: "OTHER_SMI"
    case .interruptWindow: "INTERRUPT_WINDOW"
    case .nmiWindow: "NMI_WINDOW"
    case .taskSwitch: "TASK_SWITCH"
    case .cpuid: "CPUID"
    case .getsec: "GETSEC"
    case .hlt: "HLT"
    case .invd: "INVD"
    case .invlpg: "INVLPG"
    case .rdpmc: "RDPMC"
    case .rdtsc: "RDTSC"
    case .rsm: "RSM"
    case .vmcall: "VMCALL"
    case .vmclear: "VMCLEAR"
    case .vmlaunch: "VMLAUNCH"
    case .vmptrld: "VMPTRLD"
    case .vmptrst: "VMPTRST"
    case .vmread: "VMREAD"
    case .vmresume: "VMRESUME"
    case .vmwrite: "VMWRITE"
    case .vmxoff: "VMXOFF"
    case .vmxon: "VMXON"
    case .controlRegisterAccess: "CONTROL_REGISTER_ACCESS"
    case .movDR: "MOV_DR"
    case .ioInstruction: "IO_INSTRUCTION"
    case .rdmsr: "RDMSR"
    case .wrmsr: "WRMSR"
    case .entryFailureInvalidGuestState: "VM_ENTRY_FAILURE_INVALID_GUEST_STATE"
    case .entryFailureMSRLoading: "VM_ENTRY_FAILURE_MSR_LOADING"
    case .mwait: "MWAIT"
    case .monitorTrapFlag: "MONITOR_TRAP_FLAG"
    case .monitor: "MONITOR"
    case .pause: "PAUSE"
    case .entryFailureMachineCheck: "VM_ENTRY_FAILURE_MACHINE_CHECK"
    case .tprBelowThreshold: "TPR_BELOW_THRESHOLD"
    case .apicAccess: "APIC_ACCESS"
    case .virtualizedEOI: "VIRTUALIZED_EOI"
    case .gdtrOrIDTRAccess: "GDTR_OR_IDTR_ACCESS"
    case .ldtrOrTRAccess: "LDTR_OR_TR_ACCESS"
    case .eptViolation: "EPT_VIOLATION"
    case .eptMisconfiguration: "EPT_MISCONFIGURATION"
    case .invept: "INVEPT"
    case .rdtscp: "RDTSCP"
    case .preemptionTimerExpired: "VMX_PREEMPTION_TIMER_EXPIRED"
    case .invvpid: "INVVPID"
    case .wbinvd: "WBINVD_OR_WBNOINVD"
    case .xsetbv: "XSETBV"
    case .apicWrite: "APIC_WRITE"
    case .rdrand: "RDRAND"
    case .invpcid: "INVPCID"
    case .vmfunc: "VMFUNC"
    case .encls: "ENCLS"
    case .rdseed: "RDSEED"
    case .pageModificationLogFull: "PAGE_MODIFICATION_LOG_FULL"
    case .xsaves: "XSAVES"
    case .xrstors: "XRSTORS"
    case .pconfig: "PCONFIG"
    case .sppRelatedEvent: "SPP_RELATED_EVENT"
    case .umwait: "UMWAIT"
    case .tpause: "TPAUSE"
    case .loadiwkey: "LOADIWKEY"
    case .enclv: "ENCLV"
    case .enqcmdPASIDTranslationFailure: "ENQCMD_PASID_TRANSLATION_FAILURE"
    case .enqcmdsPASIDTranslationFailure: "ENQCMDS_PASID_TRANSLATION_FAILURE"
    case .busLock: "BUS_LOCK"
    case .instructionTimeout: "INSTRUCTION_TIMEOUT"
    case .seamcall: "SEAMCALL"
    case .tdcall: "TDCALL"
    case .rdmsrlist: "RDMSRLIST"
    case .wrmsrlist: "WRMSRLIST"
    case .urdmsr: "URDMSR"
    case .uwrmsr: "UWRMSR"
    case .rdmsrImmediate: "RDMSR_IMMEDIATE"
    case .wrmsrImmediate: "WRMSR_IMMEDIATE"
    }
  }
}
