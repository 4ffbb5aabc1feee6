import InstructionDecoder
import VMX
import X86

// User wait and pause: UMONITOR, UMWAIT and TPAUSE.
extension Core {
  /// UMONITOR arms the monitor, if the line can be read. Another processor's store comes only after a VM exit, and a VM
  /// entry finds the monitor unarmed, so what the line holds need not be remembered.
  ///
  /// Source: SDM volume 2, "UMONITOR—User Level Set Up Monitor Address".
  func executeUMONITOR(_ instruction: Instruction) throws(Interruption) {
    try requireUserWait()
    let register = GeneralRegister(number: UInt64(instruction.operand0.register))
    let offset = cut(self[register], to: instruction.addressSize)
    _ = try loadSized(instruction.address.segment, offset, size: 1)
    nonRoot.pointee.isMonitorArmed = true
  }

  /// UMWAIT and TPAUSE: time passes until the deadline in EDX:EAX, at most as long as the operating system allows, or
  /// until something has to be done for the guest. UMWAIT waits only while the monitor is armed.
  ///
  /// Source: SDM volume 2, "UMWAIT—User Level Monitor Wait" and "TPAUSE—Timed PAUSE".
  func executeUserWait(_ instruction: Instruction, exits reason: ExitReason) throws(Interruption) {
    try requireUserWait()
    try requireTimeStampAccess()
    let register = instruction.operand0.register & 15
    if nonRoot.pointee.primary.contains(.rdtscExiting) {
      // Bits 12:11 give the operand size, 32 bits.
      throw vmExit(
        reason, information: ExitInstructionInformation(rawValue: UInt32(register) << 3 | 1 << 11))
    }
    // Bit 0 chooses between two states that differ in power alone.
    guard self[register: register] & 0xFFFF_FFFE == 0 else { throw raise(.generalProtection) }
    let deadline = self[.rdx] << 32 | self[.rax] & 0xFFFF_FFFF
    let isArmed = nonRoot.pointee.isMonitorArmed
    if reason == .umwait { nonRoot.pointee.isMonitorArmed = false }
    let isTooLong = reason == .tpause || isArmed ? wait(until: deadline) : false
    setFlags(isTooLong ? RFLAGS.cf.rawValue : 0, mask: RFLAGS.status.rawValue)
  }

  private func requireUserWait() throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.enableUserWaitAndPause) else { throw raise(.invalidOpcode) }
  }

  /// Lets time pass until the TSC is `deadline`; returns whether the operating system's limit has ended it.
  private func wait(until deadline: UInt64) -> Bool {
    let now = timeStampCounter
    guard deadline > now else { return false }
    let limit = UMWAITControl(rawValue: cpu.pointee.msrs.umwaitControl).longestWait ?? .max
    let clock = cpu.pointee.machine.clock
    let start = clock.pointee.cycles
    let (sum, overflow) = start.addingReportingOverflow(cycles(ofTSC: min(deadline &- now, limit)))
    let end = overflow ? .max : sum
    // An interrupt ends the wait even if the guest has masked it, and so does what else is pending already.
    let isPending =
      cpu.pointee.interruptLine != 0 || cpu.pointee.isNMIPending || cpu.pointee.pendingDebug != 0
    let event = isPending ? start : min(nonRoot.pointee.timerDeadline, clock.pointee.interruptDeadline)
    guard event < end || end == .max else {
      advance(to: end)
      return limit < deadline &- now
    }
    // Nothing that is known would end it: it ends by itself, as it may.
    if event != .max { advance(to: event) }
    return false
  }

  private func advance(to time: UInt64) {
    let clock = cpu.pointee.machine.clock
    guard time > clock.pointee.cycles else { return }
    clock.pointee.pausedCycles &+= time &- clock.pointee.cycles
    clock.pointee.cycles = time
  }

  /// The cycles in which the guest's TSC grows by `difference`.
  ///
  /// Source: SDM volume 3, "Changes to Instruction Behavior in VMX Non-Root Operation", on TPAUSE.
  private func cycles(ofTSC difference: UInt64) -> UInt64 {
    let multiplier = cpu.pointee.msrs.tscMultiplier
    let (high, low) = (difference >> 16, difference << 48)
    // A TSC that is too slow for the clock's width never comes there.
    guard high < multiplier else { return .max }
    let (quotient, remainder) = multiplier.dividingFullWidth((high, low))
    return remainder == 0 ? quotient : quotient &+ 1
  }
}
