import VMX

/// The names that Linux's KVM gives the exit reasons, where they differ from the SDM's: what `perf kvm stat` and
/// trace-cmd print.
///
/// Source: Linux, arch/x86/include/uapi/asm/vmx.h, VMX_EXIT_REASONS.
public enum KVMExitName {
  private static let table: [ExitReason: StaticString] = [
    .exceptionOrNMI: "EXCEPTION_NMI", .interruptWindow: "INTERRUPT_WINDOW", .initSignal: "INIT_SIGNAL",
    .startupIPI: "SIPI_SIGNAL", .vmxoff: "VMOFF", .vmxon: "VMON", .controlRegisterAccess: "CR_ACCESS",
    .movDR: "DR_ACCESS", .rdmsr: "MSR_READ", .wrmsr: "MSR_WRITE",
    .entryFailureInvalidGuestState: "INVALID_STATE", .entryFailureMSRLoading: "MSR_LOAD_FAIL",
    .mwait: "MWAIT_INSTRUCTION", .monitor: "MONITOR_INSTRUCTION", .pause: "PAUSE_INSTRUCTION",
    .entryFailureMachineCheck: "MCE_DURING_VMENTRY", .virtualizedEOI: "EOI_INDUCED",
    .gdtrOrIDTRAccess: "GDTR_IDTR", .ldtrOrTRAccess: "LDTR_TR", .eptMisconfiguration: "EPT_MISCONFIG",
    .preemptionTimerExpired: "PREEMPTION_TIMER", .pageModificationLogFull: "PML_FULL",
  ]

  /// KVM's name of `reason`.
  public static func name(_ reason: UInt16) -> String {
    guard let known = ExitReason(rawValue: reason) else { return "0x\(String(reason, radix: 16))" }
    return "\(table[known] ?? known.name)"
  }
}
