import Trace
import VMX
import X86

/// Task switches by hardware. L1 alone makes them: those of L2 are L1's to emulate.
extension VirtualCPU {
  mutating func emulateTaskSwitch() {
    let guest = guest
    let event = guest.vmcs.idtVectoringInformation
    let source = TaskSwitchQualification(rawValue: guest[.exitQualification]).source
    let errorCode =
      source == .taskGate && event.isValid && event.hasErrorCode
      ? UInt32(truncatingIfNeeded: guest[.idtVectoringErrorCode]) : nil
    var taskSwitch = TaskSwitch(of: guest, in: addressSpace)
    do throws(GuestFault) {
      try taskSwitch.perform(errorCode: errorCode)
    } catch {
      deliver(error, metDeliveringEvent: event)
    }
    // The switch was the delivery of the event, which is over.
    guest[.idtVectoringInformation] = 0
    devices.noteAccess()
    if taskSwitch.changesMappings { forgetLinearMappings() }
  }

  /// Has the next VM entry deliver what became of the exception of `fault`, met while `event` was being delivered.
  ///
  /// Source: SDM volume 3, "Interrupt 8—Double Fault Exception (#DF)".
  mutating func deliver(_ fault: GuestFault, metDeliveringEvent event: InterruptionInformation) {
    let isException = event.isValid && event.kind == .hardwareException
    let first = isException ? ExceptionVector(rawValue: event.vector)?.exceptionClass : nil
    switch (first ?? .benign).combined(with: fault.exceptionClass) {
    case .serial:
      if !guest.raise(fault) { outcome = outsideMemory(guest[.guestTRBase]) }
    case .doubleFault:
      guest.raise(fault)
      guest.raise(.doubleFault)
    case .tripleFault: outcome = .tripleFault(level: level, rip: guest[.guestRIP])
    }
  }
}

extension GuestFault {
  /// The class of its exception in the double-fault rule.
  fileprivate var exceptionClass: ExceptionClass {
    switch self {
    case .exception(let vector, _): vector.exceptionClass
    case .pageFault: .pageFault
    case .extended, .apicAccess, .noCode, .notEmulated: .benign
    }
  }
}
