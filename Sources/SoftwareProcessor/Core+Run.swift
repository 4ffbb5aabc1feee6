import Processor
import VMX
import X86

// The loop around the interpreter: what happens between blocks.
extension Core {
  /// The most instructions that run before a stop request is looked at.
  static var slice: UInt64 { 65_536 }

  /// Runs the guest until a VM exit is pending (nil), or until L0 ends the run.
  func runGuest(until stopRequest: StopRequest) -> StopCause? {
    guard beginGuest() else { return nil }
    return continueGuest(until: stopRequest)
  }

  /// What a VM entry does behind the loading of the guest's state; false if that makes a VM exit pending.
  func beginGuest() -> Bool {
    do throws(Interruption) {
      enterVirtualAPIC()
      try injectEvent()
      try checkTPRThreshold()
      return true
    } catch {
      return false
    }
  }

  /// Runs a guest that has been entered, as ``runGuest(until:)`` does.
  func continueGuest(until stopRequest: StopRequest) -> StopCause? {
    do throws(Interruption) {
      while true {
        // A pending trap of the monitor trap flag is kept in no VMCS.
        if !nonRoot.pointee.isMTFPending, stopRequest.take() { return .requested }
        try takeEvents()
        let clock = cpu.pointee.machine.clock
        guard clock.pointee.instructions < clock.pointee.instructionLimit else { return .instructionLimit }
        if cpu.pointee.activity != ActivityState.active.rawValue {
          let wakeTime = min(nonRoot.pointee.timerDeadline, clock.pointee.interruptDeadline)
          guard wakeTime != .max else { return .idle }
          clock.pointee.cycles = max(clock.pointee.cycles, wakeTime)
          continue
        }
        try advance()
      }
    } catch {
      return nil
    }
  }

  /// Delivers the event that VM entry injects.
  private func injectEvent() throws(Interruption) {
    let information = vmcs.entryInterruptionInformation
    guard information.isValid else { return }
    if information.kind == .otherEvent {
      nonRoot.pointee.isMTFPending = true
      return
    }
    if information.kind != .externalInterrupt, information.kind != .nmi { cpu.pointee.pendingDebug = 0 }
    let event = Event(
      vector: information.vector, kind: information.kind, hasErrorCode: information.hasErrorCode,
      errorCode: UInt32(truncatingIfNeeded: vmcs[.entryExceptionErrorCode]),
      instructionLength: UInt32(truncatingIfNeeded: vmcs[.entryInstructionLength]), isInjected: true)
    try dispatch(event)
    notePendingMTF()
  }

  private func notePendingMTF() {
    if nonRoot.pointee.primary.contains(.monitorTrapFlag) { nonRoot.pointee.isMTFPending = true }
  }

  /// Runs instructions up to the next point at which something may happen between two of them.
  private func advance() throws(Interruption) {
    let clock = cpu.pointee.machine.clock
    let limit = clock.pointee.instructionLimit &- clock.pointee.instructions
    let deadline = min(nonRoot.pointee.timerDeadline, clock.pointee.interruptDeadline)
    // An interrupt of L0 that has come already waits for one instruction at the most.
    let timer = budget(until: deadline)
    let blocking = interruptibility.intersection([.blockingBySTI, .blockingByMOVSS])
    let flags = systemFlags.intersection([.tf, .rf])
    let isStepping =
      blocking != [] || flags != [] || hasBreakpoints || nonRoot.pointee.primary.contains(.monitorTrapFlag)
    let budget = isStepping ? 1 : min(limit, timer, Self.slice)
    let isResumed = cpu.pointee.isMidRepetition
    cpu.pointee.isMidRepetition = false
    // The iterations of a string instruction are one instruction to its breakpoint.
    let breakpoints = isResumed ? 0 : instructionBreakpoints
    if breakpoints != 0 {
      try dispatch(.debug(breakpoints))
      countDelivery(isSoftware: false)
      return notePendingMTF()
    }
    let pendingDebug = cpu.pointee.pendingDebug
    let start = (instructions: clock.pointee.instructions, cycles: clock.pointee.cycles)
    defer { notePace(since: start) }
    do throws(Interruption) {
      try executeAlsoAPICWrites(budget: Int64(truncatingIfNeeded: budget))
    } catch {
      cpu.pointee.freshBlocking = false
      // An instruction that did not complete has met no data breakpoint.
      cpu.pointee.pendingDebug = pendingDebug
      nonRoot.pointee.virtualAPIC.pendingWrite = VirtualAPICState.noWrite
      let unblockedNMIs = cpu.pointee.unblockedNMIs
      cpu.pointee.unblockedNMIs = false
      if error == .vmExit {
        if unblockedNMIs { reportNMIUnblocking() }
        completeAPICAccessExit()
        throw error
      }
      var event = pendingEvent
      event.unblockedNMIs = unblockedNMIs
      mergePendingDebug(into: event)
      try dispatch(event)
      countDelivery(isSoftware: event.isSoftware)
      return notePendingMTF()
    }
    if isStepping { finishStep(blocking, flags) }
    cpu.pointee.freshBlocking = false
    cpu.pointee.freshResumeFlag = false
    if nonRoot.pointee.virtualAPIC.pendingWrite != VirtualAPICState.noWrite { try emulateAPICWrite() }
  }

  /// Executes up to `budget` instructions; one that writes to the APIC-access page ends them.
  private func executeAlsoAPICWrites(budget: Int64) throws(Interruption) {
    do throws(Interruption) {
      return try execute(budget: budget)
    } catch {
      guard error == .retry else { throw error }
    }
    nonRoot.pointee.virtualAPIC.isStepping = true
    defer { nonRoot.pointee.virtualAPIC.isStepping = false }
    try execute(budget: 1)
  }

  /// A debug exception that blocking by MOV SS has held back is one with that of an INT1 behind it. Behind other
  /// software interrupts it is delivered on its own, as soon as their handler is entered.
  private func mergePendingDebug(into event: Event) {
    guard event.kind == .privilegedSoftwareException, !intercepts(event) else { return }
    cpu.pointee.registers.dr6 |= cpu.pointee.pendingDebug & (DR6.bs.rawValue | 0xF)
    cpu.pointee.pendingDebug = 0
  }

  /// How many instructions may run before the clock has to be compared with `deadline` again.
  ///
  /// Page walks take time of their own. So half of the way is gone first, at the pace of late, and then half of the
  /// rest: the deadline is met exactly without walks, and with them not missed by more than those of a few
  /// instructions, unless they have just become many.
  private func budget(until deadline: UInt64) -> UInt64 {
    let clock = cpu.pointee.machine.clock
    guard deadline > clock.pointee.cycles else { return 1 }
    let left = deadline &- clock.pointee.cycles
    let isNear = clock.pointee.walkReferenceCycles == 0 || left <= Self.shortWay
    return max(1, left / (cpu.pointee.pace &* (isNear ? 1 : 2)))
  }

  /// Takes note of how many cycles an instruction took since `start`, page walks included.
  private func notePace(since start: (instructions: UInt64, cycles: UInt64)) {
    let clock = cpu.pointee.machine.clock
    let instructions = clock.pointee.instructions &- start.instructions
    let cycles = clock.pointee.cycles &- start.cycles
    let now = cycles <= instructions || instructions == 0 ? 1 : cycles / instructions &+ 1
    let before = cpu.pointee.pace
    cpu.pointee.pace = now >= before ? now : before &- (before &- now &+ 7) / 8
  }

  /// So many cycles before a deadline the rest of the way is gone at once.
  private static var shortWay: UInt64 { 128 }

  /// Has the VM exit of an IRET tell that it has ended a blocking by NMI.
  ///
  /// Source: SDM volume 3, "Information About NMI Unblocking Due to IRET".
  private func reportNMIUnblocking() {
    switch ExitReason(rawValue: UInt16(truncatingIfNeeded: cpu.pointee.pending.exitReason)) {
    case .eptViolation, .pageModificationLogFull:
      cpu.pointee.pending.qualification |= NMIUnblockingQualification.mask
    default: break
    }
  }

  /// Counts an instruction that completed by the delivery of its event; and a fault right behind another delivery,
  /// for else time would stand still where handlers fault in turn, and neither a timer nor a limit would end it.
  private func countDelivery(isSoftware: Bool) {
    let clock = cpu.pointee.machine.clock
    if isSoftware || clock.pointee.instructions == cpu.pointee.lastDelivery { countInstruction() }
    cpu.pointee.lastDelivery = clock.pointee.instructions
  }

  private func countInstruction() {
    cpu.pointee.machine.clock.pointee.instructions &+= 1
    cpu.pointee.machine.clock.pointee.cycles &+= 1
  }

  /// Ends what lasts for one instruction, which has now retired.
  private func finishStep(_ blocking: InterruptibilityState, _ flags: RFLAGS) {
    if !cpu.pointee.freshBlocking { interruptibility.subtract(blocking) }
    if flags.contains(.rf), !cpu.pointee.freshResumeFlag, !cpu.pointee.isMidRepetition {
      cpu.pointee.rflagsSystem &= ~RFLAGS.rf.rawValue
    }
    // The single-step trap behind a load of SS is not held back but never happens (SDM volume 3, "Masking Exceptions
    // and Interrupts When Switching Stacks").
    let isSuppressed = cpu.pointee.freshBlocking && interruptibility.contains(.blockingByMOVSS)
    if flags.contains(.tf), !isSuppressed { cpu.pointee.pendingDebug |= DR6.bs.rawValue }
    notePendingMTF()
  }

  // MARK: Events between instructions

  /// Takes whatever is pending at an instruction boundary, in the order of priority.
  ///
  /// Source: SDM volume 3, "Priority Among Concurrent Events"; "Other Causes of VM Exits".
  private func takeEvents() throws(Interruption) {
    let state = nonRoot
    if state.pointee.isMTFPending { throw eventExit(.monitorTrapFlag) }
    let isMOVSSBlocking = interruptibility.contains(.blockingByMOVSS)
    if cpu.pointee.pendingDebug != 0, !isMOVSSBlocking { try takeDebugTrap() }
    if cpu.pointee.machine.clock.pointee.cycles >= state.pointee.timerDeadline {
      throw eventExit(.preemptionTimerExpired)
    }
    let isNMIBlocked = interruptibility.contains(.blockingByNMI) || isMOVSSBlocking
    if state.pointee.primary.contains(.nmiWindowExiting), !isNMIBlocked { throw eventExit(.nmiWindow) }
    if cpu.pointee.isNMIPending { try takeNMI(isBlocked: isNMIBlocked) }
    let isBlocked = isMOVSSBlocking || interruptibility.contains(.blockingBySTI)
    let isOpen = systemFlags.contains(.if) && !isBlocked
    if isOpen, state.pointee.primary.contains(.interruptWindowExiting) { throw eventExit(.interruptWindow) }
    if isOpen, canTakeVirtualInterrupt { return try takeVirtualInterrupt() }
    if cpu.pointee.interruptLine != 0 { try takeExternalInterrupt(isOpen: isOpen, isBlocked: isBlocked) }
    // An external interrupt may have been the notification of posted ones.
    if isOpen, canTakeVirtualInterrupt { return try takeVirtualInterrupt() }
    if !isBlocked { try takeHostInterrupt() }
  }

  private func takeVirtualInterrupt() throws(Interruption) {
    try deliverVirtualInterrupt()
    countDelivery(isSoftware: false)
    notePendingMTF()
  }

  /// The timer interrupt of L0, whose vector is L0's own business.
  private func takeHostInterrupt() throws(Interruption) {
    let clock = cpu.pointee.machine.clock
    guard clock.pointee.cycles >= clock.pointee.interruptDeadline,
      nonRoot.pointee.pinBased.contains(.externalInterruptExiting)
    else { return }
    _ = eventExit(.externalInterrupt)
    cpu.pointee.pending.savesResumeFlag = cpu.pointee.isMidRepetition
    throw .vmExit
  }

  private func takeDebugTrap() throws(Interruption) {
    let bits = cpu.pointee.pendingDebug & (DR6.bs.rawValue | 0xF | DR6.rtm.rawValue)
    cpu.pointee.pendingDebug = 0
    if bits != 0 { try dispatch(.debug(bits)) }
  }

  private func takeNMI(isBlocked: Bool) throws(Interruption) {
    let pin = nonRoot.pointee.pinBased
    // With virtual NMIs the guest's blocking is virtual, and does not hold back a real NMI.
    let isHeld = pin.contains(.virtualNMIs) ? false : isBlocked
    guard !isHeld else { return }
    cpu.pointee.isNMIPending = false
    let event = Event(vector: ExceptionVector.nmi.rawValue, kind: .nmi)
    guard pin.contains(.nmiExiting) else { return try dispatch(event) }
    _ = eventExit(.exceptionOrNMI)
    cpu.pointee.pending.interruptionInformation = InterruptionInformation.nmi.rawValue
    throw .vmExit
  }

  private func takeExternalInterrupt(isOpen: Bool, isBlocked: Bool) throws(Interruption) {
    let vector = UInt8(truncatingIfNeeded: cpu.pointee.interruptLine)
    guard nonRoot.pointee.pinBased.contains(.externalInterruptExiting) else {
      guard isOpen else { return }
      cpu.pointee.interruptLine = 0
      return try dispatch(Event(vector: vector, kind: .externalInterrupt))
    }
    guard !isBlocked else { return }
    if isNotification(vector) {
      cpu.pointee.interruptLine = 0
      return processPostedInterrupts()
    }
    _ = eventExit(.externalInterrupt)
    cpu.pointee.pending.savesResumeFlag = cpu.pointee.isMidRepetition
    if nonRoot.pointee.exitControls.contains(.acknowledgeInterruptOnExit) {
      cpu.pointee.interruptLine = 0
      cpu.pointee.pending.interruptionInformation =
        InterruptionInformation(vector: vector, kind: .externalInterrupt).rawValue
    }
    throw .vmExit
  }
}
