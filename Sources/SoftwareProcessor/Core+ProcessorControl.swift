import InstructionDecoder
import VMX
import X86

// HLT, MONITOR, MWAIT, WBINVD, the time-stamp counter and the random number generator.
extension Core {
  func executeHalt() throws(Interruption) {
    try requireCPL0()
    if nonRoot.pointee.primary.contains(.hltExiting) { throw vmExit(.hlt) }
    cpu.pointee.activity = ActivityState.hlt.rawValue
  }

  func executeMONITOR(_ instruction: Instruction) throws(Interruption) {
    guard cpl == 0 else { throw raise(.invalidOpcode) }
    if nonRoot.pointee.primary.contains(.monitorExiting) { throw vmExit(.monitor) }
    guard self[.rcx] & 0xFFFF_FFFF == 0 else { throw raise(.generalProtection) }
    let offset = cut(self[.rax], to: instruction.addressSize)
    _ = try loadSized(instruction.address.segment, offset, size: 1)
  }

  /// MWAIT waits for nothing: a store by another processor or an interrupt may always have just happened.
  func executeMWAIT() throws(Interruption) {
    guard cpl == 0 else { throw raise(.invalidOpcode) }
    if nonRoot.pointee.primary.contains(.mwaitExiting) { throw vmExit(.mwait) }
  }

  func executeWBINVD() throws(Interruption) {
    try requireCPL0()
    if nonRoot.pointee.secondary.contains(.wbinvdExiting) { throw vmExit(.wbinvd) }
  }

  // MARK: Time

  func executeRDTSC() throws(Interruption) {
    try requireTimeStampAccess()
    if nonRoot.pointee.primary.contains(.rdtscExiting) { throw vmExit(.rdtsc) }
    returnTimeStamp()
  }

  func executeRDTSCP() throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.enableRDTSCP) else { throw raise(.invalidOpcode) }
    try requireTimeStampAccess()
    if nonRoot.pointee.primary.contains(.rdtscExiting) { throw vmExit(.rdtscp) }
    returnTimeStamp()
    self[.rcx] = cpu.pointee.msrs.tscAux
  }

  func requireTimeStampAccess() throws(Interruption) {
    if cr4.contains(.tsd), cpl > 0, cr0.contains(.pe) { throw raise(.generalProtection) }
  }

  private func returnTimeStamp() {
    self[.rax] = timeStampCounter & 0xFFFF_FFFF
    self[.rdx] = timeStampCounter >> 32
  }

  /// RDPMC: the processor has no performance counters, so that every counter number is invalid.
  func executeRDPMC() throws(Interruption) {
    if !cr4.contains(.pce), cpl > 0, cr0.contains(.pe) { throw raise(.generalProtection) }
    if nonRoot.pointee.primary.contains(.rdpmcExiting) { throw vmExit(.rdpmc) }
    throw raise(.generalProtection)
  }

  func executeRDPID(_ instruction: Instruction) throws(Interruption) {
    guard nonRoot.pointee.secondary.contains(.enableRDTSCP) else { throw raise(.invalidOpcode) }
    self[register: instruction.operand0.register & 15] = cpu.pointee.msrs.tscAux
  }

  // MARK: Random numbers

  /// RDRAND and RDSEED: a generator of fixed seed, so that runs repeat.
  func executeRandom(
    _ instruction: Instruction, _ reason: ExitReason, exits control: SecondaryProcessorBasedControls
  ) throws(Interruption) {
    let register = instruction.operand0.register & 15
    if nonRoot.pointee.secondary.contains(control) {
      let size = UInt32(instruction.operandSize.trailingZeroBitCount &- 1) & 3
      throw vmExit(
        reason, information: ExitInstructionInformation(rawValue: UInt32(register) << 3 | size << 11))
    }
    cpu.pointee.randomState &+= 0x9E37_79B9_7F4A_7C15
    var value = cpu.pointee.randomState
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    value ^= value >> 31
    setRegister(register, cut(value, to: instruction.operandSize), size: instruction.operandSize)
    setFlags(RFLAGS.cf.rawValue, mask: RFLAGS.status.rawValue)
  }
}
