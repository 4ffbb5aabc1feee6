import InstructionDecoder
import X86

// The x87 FPU's instructions: what all of them have in common, and which does what.
//
// Source: SDM volume 1, "Programming with the x87 FPU"; volume 2 at each instruction.
extension Core {
  /// Executes an x87 instruction.
  func executeX87(_ instruction: borrowing Instruction) throws(Interruption) {
    guard cpu.pointee.cr0 & CR0([.em, .ts]).rawValue == 0 else { throw raise(.deviceNotAvailable) }
    if !instruction.mnemonic.isX87WithoutWaiting { try checkX87Error() }
    switch instruction.mnemonic {
    case .fninit, .fnclex, .fnstcw, .fnstsw, .fnstenv, .fnsave, .fldcw, .fldenv, .frstor:
      try executeX87Control(instruction)
    case .fnobsolete: break
    default:
      try executeX87Data(instruction)
      notePointers(of: instruction)
    }
  }

  private func executeX87Data(_ instruction: borrowing Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .fld, .fild, .fbld: try executeX87Load(instruction)
    case .fst, .fstp, .fist, .fistp, .fisttp, .fbstp: try executeX87Store(instruction)
    case .fadd, .fmul, .fsub, .fsubr, .fdiv, .fdivr, .fiadd, .fimul, .fisub, .fisubr, .fidiv, .fidivr, .faddp,
      .fmulp, .fsubp, .fsubrp, .fdivp, .fdivrp:
      try executeX87Arithmetic(instruction)
    case .fcom, .fcomp, .fcompp, .ficom, .ficomp, .fucom, .fucomp, .fucompp, .fcomi, .fcomip, .fucomi,
      .fucomip,
      .ftst:
      try executeX87Comparison(instruction)
    case .fxam: x87.examine()
    case .fxch: x87.exchange(instruction.operand0.register)
    case .fcmovcc:
      x87.move(from: instruction.operand1.register, if: holdsX87Condition(instruction.immediate))
    case .fnop: break
    case .ffree, .ffreep, .fincstp, .fdecstp: executeX87StackControl(instruction)
    case .fld1, .fldl2t, .fldl2e, .fldpi, .fldlg2, .fldln2, .fldz: x87.loadConstant(instruction.mnemonic)
    default: x87.executeFunction(instruction.mnemonic)
    }
  }

  private func executeX87StackControl(_ instruction: borrowing Instruction) {
    x87.setConditions(0, mask: X87Unit.Status.c1)
    switch instruction.mnemonic {
    case .ffree: x87.free(instruction.operand0.register)
    case .ffreep:
      x87.free(instruction.operand0.register)
      x87.pop()
    case .fincstp: x87.top &+= 1
    default: x87.top &-= 1
    }
  }

  /// The condition of FCMOVcc: below, equal, below or equal, unordered, and their opposites.
  private func holdsX87Condition(_ opcode: UInt64) -> Bool {
    let conditions: InlineArray<4, UInt8> = [2, 4, 6, 10]
    let isNegated: UInt8 = opcode & 0x100 != 0 ? 1 : 0
    return flags.pointee.holds(conditions[Int(opcode &>> 3 & 3)] | isNegated)
  }

  /// Notes where the instruction and its operand are, for an exception handler; the opcode only if an exception is now
  /// pending.
  ///
  /// Source: SDM volume 1, "x87 FPU Instruction and Data (Operand) Pointers" and "Last Instruction Opcode".
  private func notePointers(of instruction: borrowing Instruction) {
    let state = extendedState
    state.pointee.instructionPointer = rip
    state.pointee.instructionSelector = cpu.pointee.cs.selector
    if instruction.operand0.kind == .memory {
      state.pointee.dataPointer = offset(of: instruction)
      state.pointee.dataSelector = self[instruction.address.segment].selector
    }
    if state.pointee.statusWord & X87Unit.Status.errorSummary != 0 {
      state.pointee.opcode = UInt16(truncatingIfNeeded: instruction.immediate)
    }
  }
}

// MARK: - Registers only

extension X87Unit {
  /// FXCH: what is empty is an underflow, and gets the indefinite value.
  func exchange(_ index: UInt8) {
    if isEmpty(0) || isEmpty(index) {
      guard stackFault(isOverflow: false) else { return }
      if isEmpty(0) { self[0] = .indefinite }
      if isEmpty(index) { self[index] = .indefinite }
    } else {
      setConditions(0, mask: Status.c1)
    }
    let value = self[0]
    self[0] = self[index]
    self[index] = value
  }

  /// FCMOVcc.
  func move(from index: UInt8, if holds: Bool) {
    if isEmpty(0) || isEmpty(index) {
      if stackFault(isOverflow: false) { self[0] = .indefinite }
      return
    }
    if holds { self[0] = self[index] }
  }

  /// FXAM.
  func examine() {
    let value = self[0]
    let sign = value.isNegative ? Status.c1 : 0
    let kind: UInt16
    if isEmpty(0) {
      kind = Status.c3 | Status.c0
    } else {
      let decoded = value.decoded
      switch decoded.kind {
      case .unsupported: kind = 0
      case .quietNaN, .signalingNaN: kind = Status.c0
      case .finite: kind = decoded.isDenormal ? Status.c3 | Status.c2 : Status.c2
      case .infinity: kind = Status.c2 | Status.c0
      case .zero: kind = Status.c3
      }
    }
    setConditions(kind | sign)
  }

  /// FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ, rounded as the control word says.
  func loadConstant(_ mnemonic: Mnemonic) {
    guard prepareForPush() else { return }
    guard mnemonic != .fldz else { return push(X87Register()) }
    // Constants are rounded without telling that they are.
    var environment = environment
    let value = X87Register(WideConstants.value(of: mnemonic), precision: 64, &environment)
    push(value)
  }

  /// Whether there is room for a push, C1 being cleared; if not, the indefinite value may have been pushed.
  @inline(__always)
  func prepareForPush() -> Bool {
    guard isEmpty(7) else {
      if stackFault(isOverflow: true) { push(.indefinite) }
      return false
    }
    setConditions(0, mask: Status.c1)
    return true
  }
}
