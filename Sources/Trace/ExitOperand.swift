import VMX

/// What ``ExitEvent/operand`` holds for an exit reason.
public enum ExitOperand: Equatable, Sendable {
  /// The encoding of the VMCS field that VMREAD or VMWRITE names, as its register held it.
  case vmcsField
  /// CPUID's leaf in bits 31:0 and subleaf in bits 63:32.
  case leaf
  /// The index of the MSR that RDMSR or WRMSR names.
  case modelSpecificRegister
  /// RAX, where hypervisors pass the number of a VMCALL.
  case hypercall
  /// The guest-physical address of an EPT violation or misconfiguration.
  case guestPhysicalAddress
  /// Nothing: the qualification says all.
  case none

  /// What the operand of an exit for `reason` is.
  @inlinable
  public init(_ reason: ExitReason?) {
    switch reason {
    case .vmread, .vmwrite: self = .vmcsField
    case .cpuid: self = .leaf
    case .rdmsr, .wrmsr: self = .modelSpecificRegister
    case .vmcall: self = .hypercall
    case .eptViolation, .eptMisconfiguration: self = .guestPhysicalAddress
    default: self = .none
    }
  }
}
