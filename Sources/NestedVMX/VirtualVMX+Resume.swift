import VMX
import X86

extension VirtualVMX {
  /// Prepares the VMCS in ``running`` to be entered again after an exit that L0 kept: an event whose delivery the exit
  /// interrupted is injected anew.
  ///
  /// Source: SDM volume 3, "Information for VM Exits That Occur During Event Delivery".
  public mutating func prepareToResume() {
    let vmcs = running
    work.vmcsReads &+= 1
    let interrupted = vmcs.idtVectoringInformation
    guard interrupted.isValid else { return blockNMIsAgain() }
    var event = InterruptionInformation(rawValue: interrupted.rawValue & 0x8000_0FFF)
    if event.kind == .nmi {
      vmcs.interruptibilityState.remove(.blockingByNMI)
      event = .nmi
    }
    vmcs.entryInterruptionInformation = event
    vmcs[.entryExceptionErrorCode] = vmcs[.idtVectoringErrorCode]
    vmcs[.entryInstructionLength] = vmcs[.exitInstructionLength]
    work.vmcsReads &+= 2
    work.vmcsWrites &+= 3
  }

  /// An IRET that met an EPT violation is executed again: the blocking by NMI that it has ended lasts until then.
  ///
  /// Source: SDM volume 3, "Information About NMI Unblocking Due to IRET".
  private mutating func blockNMIsAgain() {
    let vmcs = running
    guard vmcs.exitReason.basic == .eptViolation,
      vmcs[.exitQualification] & NMIUnblockingQualification.mask != 0
    else { return }
    vmcs.interruptibilityState.insert(.blockingByNMI)
    work.vmcsReads &+= 1
    work.vmcsWrites &+= 1
  }
}
