import VMX
import X86

/// The guest that L0 works on between its exit and its next entry: L1 on vmcs01, or L2 on vmcs02.
///
/// A trivial value. It counts L0's accesses of the VMCS, so that they can be priced.
struct RunningGuest {
  let vmcs: VMCS
  let registers: UnsafeMutablePointer<RegisterFile>
  let work: UnsafeMutablePointer<HandlerWork>

  /// The VMCS accesses and memory accesses of L0's own handlers, and what the instruction that they perform leaves to be
  /// done behind it.
  struct HandlerWork {
    var vmcsReads: UInt64 = 0
    var vmcsWrites: UInt64 = 0
    var memoryAccesses: UInt64 = 0
    /// The other VMX instructions of L0.
    var vmptrlds: UInt64 = 0
    var invepts: UInt64 = 0
    var invvpids: UInt64 = 0
    /// The data breakpoints that it has met.
    var breakpoints: DebugExceptionQualification = []
    /// Where it has written in L2's virtual-APIC page, or ``noAPICWrite``.
    var apicWrite = Self.noAPICWrite

    static let noAPICWrite = UInt16.max
  }

  /// A field of the VMCS; each access counts as the VMREAD or VMWRITE that it is on a processor.
  subscript(field: VMCSField) -> UInt64 {
    @inline(__always) get {
      work.pointee.vmcsReads &+= 1
      return vmcs[field]
    }
    @inline(__always) nonmutating set {
      work.pointee.vmcsWrites &+= 1
      vmcs[field] = newValue
    }
  }

  /// A general-purpose register; RSP is in the VMCS.
  subscript(register: GeneralRegister) -> UInt64 {
    get { register == .rsp ? self[.guestRSP] : registers[register] }
    nonmutating set {
      if register == .rsp { self[.guestRSP] = newValue } else { registers[register] = newValue }
    }
  }

  /// Whether the guest executes 64-bit code.
  var is64Bit: Bool {
    EFER(rawValue: self[.guestEFER]).contains(.lma) && self[.guestCSAccessRights] & 1 << 13 != 0
  }

  /// Ends the instruction that exited: RIP moves past it, the blocking that covers one instruction ends, and what comes
  /// after an instruction is pending: an MTF VM exit if L1 asks for it, a single step if TF does.
  func completeInstruction() {
    let next = self[.guestRIP] &+ self[.exitInstructionLength]
    self[.guestRIP] = is64Bit ? next : next & 0xFFFF_FFFF
    let blocking = InterruptibilityState([.blockingBySTI, .blockingByMOVSS])
    let state = vmcs.interruptibilityState
    if !state.isDisjoint(with: blocking) { vmcs.interruptibilityState = state.subtracting(blocking) }
    let flags = RFLAGS(rawValue: self[.guestRFLAGS])
    if flags.contains(.rf) { self[.guestRFLAGS] = flags.subtracting(.rf).rawValue }
    pendTraps()
  }

  /// Whether a single-step trap follows the instruction.
  var isSingleStepping: Bool {
    RFLAGS(rawValue: vmcs[.guestRFLAGS]).contains(.tf)
      && vmcs[.guestDebugCtl] & MSRPolicy.DebugCtl.branchTrapFlag == 0
  }

  /// Whether something follows each element of a repeated string instruction that has come so far: a single step, an MTF VM
  /// exit, a data breakpoint that an element has met, or what a write to the virtual-APIC page asks for.
  var stopsBetweenElements: Bool {
    isSingleStepping || vmcs.primaryProcessorBasedControls.contains(.monitorTrapFlag)
      || work.pointee.breakpoints != [] || work.pointee.apicWrite != HandlerWork.noAPICWrite
  }

  /// Makes pending what comes behind an instruction, or behind an element of a repeated one.
  private func pendTraps() {
    if vmcs.primaryProcessorBasedControls.contains(.monitorTrapFlag) {
      let pendingMTF = InterruptionInformation(vector: 0, kind: .otherEvent)
      self[.entryInterruptionInformation] = UInt64(pendingMTF.rawValue)
    }
    var found = work.pointee.breakpoints
    if found != [] { found.insert(.enabledBreakpoint) }
    if isSingleStepping { found.insert(.bs) }
    if found != [] { self[.guestPendingDebugExceptions] |= found.rawValue }
  }

  /// A repeated string instruction has elements left when its trap comes: RF keeps its own breakpoint from coming again.
  ///
  /// Source: SDM volume 3, "Instruction-Breakpoint Exception Condition".
  func trapBetweenElements() {
    self[.guestRFLAGS] |= RFLAGS.rf.rawValue
    pendTraps()
  }

  /// Has the next VM entry deliver `exception` at the instruction that exited. It is a fault, whose handler finds RF set.
  func raise(_ exception: ExceptionVector, errorCode: UInt32 = 0) {
    vmcs[.guestRFLAGS] |= RFLAGS.rf.rawValue
    let isProtected = CR0(rawValue: vmcs[.guestCR0]).contains(.pe)
    let hasErrorCode = exception.hasErrorCode && isProtected
    let information = InterruptionInformation(exception, hasErrorCode: hasErrorCode)
    self[.entryInterruptionInformation] = UInt64(information.rawValue)
    if hasErrorCode { self[.entryExceptionErrorCode] = UInt64(errorCode) }
  }
}
