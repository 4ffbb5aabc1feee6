import VMX
import X86

/// The VM-exit information of one exit: what reflection writes into vmcs12.
///
/// Source: SDM volume 3, "VM-Exit Information Fields".
public struct ExitInformation: Equatable, Sendable {
  public var reason = ExitReasonField(rawValue: 0)
  public var qualification: UInt64 = 0
  public var guestLinearAddress: UInt64 = 0
  public var guestPhysicalAddress: UInt64 = 0
  public var interruption = InterruptionInformation.none
  public var interruptionErrorCode: UInt64 = 0
  public var idtVectoring = InterruptionInformation.none
  public var idtVectoringErrorCode: UInt64 = 0
  public var instructionLength: UInt64 = 0
  public var instructionInformation: UInt64 = 0

  public init(_ reason: ExitReason, qualification: UInt64 = 0) {
    self.reason = ExitReasonField(reason)
    self.qualification = qualification
  }

  /// The information of the last exit of `vmcs`.
  init(lastExitOf vmcs: VMCS) {
    reason = vmcs.exitReason
    qualification = vmcs[.exitQualification]
    guestLinearAddress = vmcs[.guestLinearAddress]
    guestPhysicalAddress = vmcs[.guestPhysicalAddress]
    interruption = vmcs.exitInterruptionInformation
    interruptionErrorCode = vmcs[.exitInterruptionErrorCode]
    idtVectoring = vmcs.idtVectoringInformation
    idtVectoringErrorCode = vmcs[.idtVectoringErrorCode]
    instructionLength = vmcs[.exitInstructionLength]
    instructionInformation = vmcs[.exitInstructionInformation]
  }

  /// The number of fields.
  static var fieldCount: UInt64 { 10 }

  /// Writes the VM-exit information fields of `vmcs`.
  func write(to vmcs: VMCS) {
    vmcs.exitReason = reason
    vmcs[.exitQualification] = qualification
    vmcs[.guestLinearAddress] = guestLinearAddress
    vmcs[.guestPhysicalAddress] = guestPhysicalAddress
    vmcs[.exitInterruptionInformation] = UInt64(interruption.rawValue)
    vmcs[.exitInterruptionErrorCode] = interruptionErrorCode
    vmcs[.idtVectoringInformation] = UInt64(idtVectoring.rawValue)
    vmcs[.idtVectoringErrorCode] = idtVectoringErrorCode
    vmcs[.exitInstructionLength] = instructionLength
    vmcs[.exitInstructionInformation] = instructionInformation
  }
}
