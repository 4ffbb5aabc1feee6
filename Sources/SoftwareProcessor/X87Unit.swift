import X86

/// The x87 FPU's registers, as its instructions see them: a stack over eight physical registers.
///
/// Source: SDM volume 1, "x87 FPU Execution Environment".
struct X87Unit {
  let state: UnsafeMutablePointer<ExtendedState>

  @inline(__always)
  init(_ state: UnsafeMutablePointer<ExtendedState>) { self.state = state }

  /// The bits of the status word.
  enum Status {
    static let exceptions: UInt16 = 0x3F
    static let invalidOperation: UInt16 = 1 << 0
    static let stackFault: UInt16 = 1 << 6
    static let errorSummary: UInt16 = 1 << 7
    static let c0: UInt16 = 1 << 8
    static let c1: UInt16 = 1 << 9
    static let c2: UInt16 = 1 << 10
    static let c3: UInt16 = 1 << 14
    static let conditions: UInt16 = c0 | c1 | c2 | c3
    static let topShift: UInt16 = 11
    static let top: UInt16 = 7 << topShift
    static let busy: UInt16 = 1 << 15
  }

  /// The bits of the control word that can be written; bit 6 is always 1.
  enum Control {
    static let writable: UInt16 = 0x1F3F
    static let fixed1: UInt16 = 0x40
    static let initial: UInt16 = 0x37F
  }
}

// MARK: - The stack

extension X87Unit {
  @inline(__always)
  var top: UInt16 {
    get { state.pointee.statusWord &>> Status.topShift & 7 }
    nonmutating set {
      state.pointee.statusWord =
        state.pointee.statusWord & ~Status.top | (newValue & 7) &<< Status.topShift
    }
  }

  /// The physical number of ST(`index`).
  @inline(__always)
  private func physical(_ index: UInt8) -> Int { Int((top &+ UInt16(index)) & 7) }

  @inline(__always)
  func isEmpty(_ index: UInt8) -> Bool { state.pointee.tags &>> UInt8(physical(index)) & 1 == 0 }

  /// The data registers in their physical order.
  @inline(__always)
  var registers: UnsafeMutablePointer<X87Register> {
    let offset = MemoryLayout<ExtendedState>.offset(of: \.x87) ?? 0
    return (UnsafeMutableRawPointer(state) + offset).assumingMemoryBound(to: X87Register.self)
  }

  /// ST(`index`); a register that is written is no longer empty.
  @inline(__always)
  subscript(_ index: UInt8) -> X87Register {
    get { registers[physical(index)] }
    nonmutating set {
      let number = physical(index)
      registers[number] = newValue
      state.pointee.tags |= 1 &<< UInt8(number)
    }
  }

  /// Makes ST(`index`) empty.
  @inline(__always)
  func free(_ index: UInt8) { state.pointee.tags &= ~(1 &<< UInt8(physical(index))) }

  @inline(__always)
  func pop() {
    free(0)
    top &+= 1
  }

  @inline(__always)
  func push(_ value: X87Register) {
    top &-= 1
    self[0] = value
  }
}

// MARK: - Status and control

extension X87Unit {
  /// What operations are told of the control word.
  @inline(__always)
  var environment: FloatingEnvironment { FloatingEnvironment(x87ControlWord: state.pointee.controlWord) }

  /// Replaces condition codes.
  @inline(__always)
  func setConditions(_ value: UInt16, mask: UInt16 = Status.conditions) {
    state.pointee.statusWord = state.pointee.statusWord & ~mask | value & mask
  }

  @inline(__always)
  private func isMasked(_ exceptions: UInt16) -> Bool {
    exceptions & ~state.pointee.controlWord & Status.exceptions == 0
  }

  /// Raises `exceptions` in the status word, with the error summary if one of them is unmasked.
  @inline(__always)
  func raise(_ exceptions: UInt16) {
    state.pointee.statusWord |= exceptions
    if !isMasked(exceptions) { state.pointee.statusWord |= Status.errorSummary | Status.busy }
  }

  /// Sets the error summary and its copy, the busy flag, by what is pending and unmasked.
  func updateSummary() {
    let word = state.pointee.statusWord & ~(Status.errorSummary | Status.busy)
    state.pointee.statusWord =
      isMasked(word & Status.exceptions) ? word : word | Status.errorSummary | Status.busy
  }

  /// A stack overflow or underflow; returns whether the masked response is due.
  ///
  /// Source: SDM volume 1, "Stack Overflow or Underflow Exception (#IS)".
  @inline(never)
  func stackFault(isOverflow: Bool) -> Bool {
    setConditions(isOverflow ? Status.c1 : 0, mask: Status.c1)
    raise(Status.invalidOperation | Status.stackFault)
    return isMasked(Status.invalidOperation)
  }

  /// Puts what an operation raised into the status word, and C1; returns whether its result is to be stored.
  @inline(__always)
  func note(_ environment: FloatingEnvironment) -> Bool {
    let reported = environment.reported
    let isComputed = environment.raised.isDisjoint(with: environment.unmasked.intersection(.precomputation))
    setConditions(isComputed && environment.isRoundedUp ? Status.c1 : 0, mask: Status.c1)
    if reported.rawValue != 0 { raise(UInt16(reported.rawValue)) }
    return isComputed
  }

  /// Whether a store of ST(0) is made, after conversions that raised what `environment` has: not with an unmasked
  /// exception but that of an inexact result, or with an unmasked stack underflow.
  @inline(__always)
  func stores(_ environment: FloatingEnvironment) -> Bool {
    if isEmpty(0) { return isMasked(Status.invalidOperation) }
    return environment.raised.intersection(environment.unmasked).isDisjoint(
      with: FloatingExceptions.all.subtracting(.precision))
  }

  /// As ``note(_:)`` for a store of ST(0); returns ``stores(_:)``.
  func noteStore(_ environment: FloatingEnvironment) -> Bool {
    if isEmpty(0) { return stackFault(isOverflow: false) }
    var environment = environment
    let kept = environment.raised.intersection(environment.unmasked).intersection([.overflow, .underflow])
    if kept.rawValue != 0, environment.raised.isDisjoint(with: .precomputation) {
      // Nothing is rounded, so that nothing is inexact.
      environment.raised = environment.raised.subtracting(.precision)
      environment.isRoundedUp = false
    }
    return note(environment) && kept.rawValue == 0
  }

  /// FNINIT: SDM volume 2, "FINIT/FNINIT—Initialize Floating-Point Unit".
  func initialize() {
    state.pointee.controlWord = Control.initial
    state.pointee.statusWord = 0
    state.pointee.tags = 0
    state.pointee.opcode = 0
    state.pointee.instructionSelector = 0
    state.pointee.instructionPointer = 0
    state.pointee.dataSelector = 0
    state.pointee.dataPointer = 0
  }

  /// Writes the control word: reserved bits stay what they are.
  func setControlWord(_ value: UInt16) {
    state.pointee.controlWord = value & Control.writable | Control.fixed1
    updateSummary()
  }
}

extension Core {
  /// The x87 FPU.
  @inline(__always)
  var x87: X87Unit { X87Unit(extendedState) }

  /// x87, SSE and AVX.
  @inline(__always)
  var extendedState: UnsafeMutablePointer<ExtendedState> {
    let offset = MemoryLayout<CPUState>.offset(of: \.extended) ?? 0
    return (UnsafeMutableRawPointer(cpu) + offset).assumingMemoryBound(to: ExtendedState.self)
  }

  /// Raises #MF if an unmasked x87 exception is pending: what WAIT, and the x87 and MMX instructions that wait, do
  /// first.
  ///
  /// With CR0.NE = 0 a processor asserts FERR# instead, and the PC's interrupt controller gives the interrupt 13. VMX
  /// operation fixes CR0.NE to 1, so that here it is always an exception, which L0 turns into that interrupt.
  ///
  /// Source: SDM volume 1, "MS-DOS* Compatibility Sub-mode".
  @inline(__always)
  func checkX87Error() throws(Interruption) {
    guard cpu.pointee.extended.statusWord & X87Unit.Status.errorSummary == 0 else {
      throw raise(.floatingPointError)
    }
  }
}
