import Processor
import Trace
import VMX
import X86

/// What a recorded exit was about, beside its qualification.
extension VirtualCPU {
  /// The operand of the exit that has just happened (see ``ExitOperand``). It is for the record alone, so that it is
  /// read without being counted as L0's work.
  mutating func operand(of reason: ExitReasonField, _ vmcs: VMCS) -> UInt64 {
    switch ExitOperand(reason.basic) {
    case .vmcsField:
      let information = ExitInstructionInformation(
        rawValue: UInt32(truncatingIfNeeded: vmcs[.exitInstructionInformation]))
      let register = information.secondRegister
      return (register == .rsp ? vmcs[.guestRSP] : registers[register]) & 0xFFFF_FFFF
    case .leaf: return registers.pointee.rax & 0xFFFF_FFFF | registers.pointee.rcx << 32
    case .modelSpecificRegister: return registers.pointee.rcx & 0xFFFF_FFFF
    case .hypercall: return registers.pointee.rax
    case .guestPhysicalAddress: return vmcs[.guestPhysicalAddress]
    case .none: return 0
    }
  }
}
