import VMX
import X86

// From an event to its handler, or to the VM exit that it or its delivery causes.
extension Core {
  /// Delivers `event` and whatever exceptions its delivery meets, until a handler is entered.
  ///
  /// An event that VM entry injects causes no VM exit itself.
  /// - Throws: only ``Interruption/vmExit``.
  func dispatch(_ event: Event) throws(Interruption) {
    var current = event
    if !event.isInjected, intercepts(current) { throw exceptionExit(current) }
    // Even a VM exit during the delivery finds the processor awake, and no instruction's shadow.
    interruptibility.subtract([.blockingBySTI, .blockingByMOVSS])
    cpu.pointee.activity = ActivityState.active.rawValue
    if !event.isInjected { noteCause(of: current) }
    while true {
      nonRoot.pointee.virtualAPIC.isDelivering = true
      defer { nonRoot.pointee.virtualAPIC.isDelivering = false }
      do throws(Interruption) {
        return try deliver(current)
      } catch {
        if error == .vmExit { throw exitDuringDelivery(of: current) }
        current = try combine(current, pendingEvent)
      }
    }
  }

  /// The event to deliver after `second` was met while `first` was being delivered.
  ///
  /// Source: SDM volume 3, "Interrupt 8—Double Fault Exception (#DF)".
  private func combine(_ first: Event, _ second: Event) throws(Interruption) -> Event {
    if intercepts(second) {
      _ = exceptionExit(second)
      throw exitDuringDelivery(of: first)
    }
    noteCause(of: second)
    switch first.exceptionClass.combined(with: second.exceptionClass) {
    case .serial: return second
    case .tripleFault: throw eventExit(.tripleFault)
    case .doubleFault:
      if intercepts(.doubleFault) { throw exceptionExit(.doubleFault) }
      return .doubleFault
    }
  }

  /// Records in the pending VM exit that it happened while `event` was being delivered.
  private func exitDuringDelivery(of event: Event) -> Interruption {
    // A task switch through a task gate, and everything else, reports the event in the IDT-vectoring information.
    let event = reported(event)
    cpu.pointee.pending.idtVectoringInformation = event.information.rawValue
    cpu.pointee.pending.idtVectoringErrorCode = event.hasErrorCode ? event.errorCode : 0
    cpu.pointee.pending.savesResumeFlag = event.setsResumeFlag
    if event.isSoftware { cpu.pointee.pending.instructionLength = event.instructionLength }
    return .vmExit
  }

  /// Whether the exception bitmap makes `event` a VM exit.
  ///
  /// Source: SDM volume 3, "Exception Bitmap".
  func intercepts(_ event: Event) -> Bool {
    switch event.kind {
    case .hardwareException, .softwareException, .privilegedSoftwareException: break
    default: return false
    }
    let isSelected = vmcs[.exceptionBitmap] >> UInt64(event.vector & 31) & 1 != 0
    guard event.vector == ExceptionVector.pageFault.rawValue else { return isSelected }
    let matches = UInt64(event.errorCode) & vmcs[.pageFaultErrorCodeMask] == vmcs[.pageFaultErrorCodeMatch]
    return matches == isSelected
  }

  /// `event` as VM exits report it: exceptions have no error code in real-address mode.
  private func reported(_ event: Event) -> Event {
    var event = event
    if !cr0.contains(.pe) { event.hasErrorCode = false }
    return event
  }

  /// Makes the VM exit that reports `event` the pending one.
  func exceptionExit(_ event: Event) -> Interruption {
    let event = reported(event)
    let carriesAddress = event.isHardwareException(.pageFault) || event.isHardwareException(.debug)
    _ = eventExit(.exceptionOrNMI, qualification: carriesAddress ? event.address : 0)
    var information = event.information
    information.isNMIUnblocked = event.unblockedNMIs
    cpu.pointee.pending.interruptionInformation = information.rawValue
    cpu.pointee.pending.interruptionErrorCode = event.hasErrorCode ? event.errorCode : 0
    cpu.pointee.pending.savesResumeFlag = event.setsResumeFlag
    if event.isSoftware { cpu.pointee.pending.instructionLength = event.instructionLength }
    return .vmExit
  }

  /// Tells CR2 and the debug registers of an exception, before its delivery. Injection by VM entry leaves them alone.
  ///
  /// Source: SDM volume 3, "Details of Vectored-Event Injection".
  private func noteCause(of event: Event) {
    if event.isHardwareException(.pageFault) { cpu.pointee.registers.cr2 = event.address }
    if event.isHardwareException(.debug) {
      // A debug exception clears B0 to B3 of the breakpoints that it is not of, and no other bit.
      cpu.pointee.registers.dr6 = cpu.pointee.registers.dr6 & ~0xF | event.address
      cpu.pointee.dr7 &= ~DR7.gd.rawValue
    }
  }

  /// Delivers one event through the interrupt table of the current mode.
  /// - Throws: the exception or VM exit that the delivery met; no register has changed then.
  private func deliver(_ event: Event) throws(Interruption) {
    if event.kind == .nmi { interruptibility.insert(.blockingByNMI) }
    if cr0.contains(.pe) {
      try deliverProtected(event)
    } else {
      try deliverReal(event)
    }
    cpu.pointee.isMidRepetition = false
    updateMode()
  }
}
