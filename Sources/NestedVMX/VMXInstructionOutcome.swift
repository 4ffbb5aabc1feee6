import VMX
import X86

/// How a VMX instruction of L1 ended. Flags and RIP, or the fault to be delivered, are in vmcs01 already.
///
/// Source: SDM volume 3, "Conventions" of the VMX instruction reference: VMsucceed, VMfailInvalid, VMfailValid.
public enum VMXInstructionOutcome: Equatable, Sendable {
  case succeeded
  case failInvalid
  case failValid(VMInstructionError)
  case fault(InstructionFault)
  /// VMLAUNCH or VMRESUME: vmcs02 is ready, and L2 is to be entered once `loadMSRs` is performed.
  case enterL2(loadMSRs: MSRList)
  /// VMLAUNCH or VMRESUME: the VM entry failed, and L1 continues as after a VM exit.
  case entryFailed(Reflection, ExitReasonField)
}

/// An exception that an instruction of L1 raises.
public struct InstructionFault: Error, Equatable, Sendable {
  public var vector: ExceptionVector
  /// The error code, if the exception has one.
  public var errorCode: UInt32?
  /// The linear address that a page fault puts into CR2.
  public var linearAddress: UInt64

  public init(vector: ExceptionVector, errorCode: UInt32?, linearAddress: UInt64 = 0) {
    self.vector = vector
    self.errorCode = errorCode
    self.linearAddress = linearAddress
  }

  static var invalidOpcode: Self { Self(vector: .invalidOpcode, errorCode: nil) }
  static var generalProtection: Self { Self(vector: .generalProtection, errorCode: 0) }
  static var stackSegment: Self { Self(vector: .stackSegmentFault, errorCode: 0) }

  static func pageFault(_ errorCode: UInt32, at linear: UInt64) -> Self {
    Self(vector: .pageFault, errorCode: errorCode, linearAddress: linear)
  }
}

/// Why a VMX instruction did not succeed.
enum VMXInstructionFailure: Error {
  case fault(InstructionFault)
  /// VMfailInvalid.
  case invalid
  /// VMfail with an error number: VMfailValid if there is a current VMCS, else VMfailInvalid.
  case fail(VMInstructionError)

  static var invalidOpcode: Self { .fault(.invalidOpcode) }
  static var generalProtection: Self { .fault(.generalProtection) }
}
