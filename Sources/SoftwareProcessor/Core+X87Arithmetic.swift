import InstructionDecoder
import X86

// FADD, FMUL, FSUB, FDIV with their forms, and the comparisons.
//
// Source: SDM volume 2 at each instruction.

/// A binary operation, and whether its operands are exchanged.
private enum X87Operation {
  case add, multiply, subtract, subtractReversed, divide, divideReversed

  init(_ mnemonic: Mnemonic) {
    switch mnemonic {
    case .fadd, .faddp, .fiadd: self = .add
    case .fmul, .fmulp, .fimul: self = .multiply
    case .fsub, .fsubp, .fisub: self = .subtract
    case .fsubr, .fsubrp, .fisubr: self = .subtractReversed
    case .fdiv, .fdivp, .fidiv: self = .divide
    default: self = .divideReversed
    }
  }

  func result(
    _ destination: UnroundedValue, _ source: UnroundedValue, _ environment: inout FloatingEnvironment
  ) -> UnroundedValue {
    switch self {
    case .add: environment.sum(destination, source)
    case .multiply: environment.product(destination, source)
    case .subtract: environment.sum(destination, source.negated)
    case .subtractReversed: environment.sum(source, destination.negated)
    case .divide: environment.quotient(destination, source)
    case .divideReversed: environment.quotient(source, destination)
    }
  }
}

extension Core {
  func executeX87Arithmetic(_ instruction: borrowing Instruction) throws(Interruption) {
    let operation = X87Operation(instruction.mnemonic)
    var destination: UInt8 = 0
    var source = UnroundedValue.zero(isNegative: false)
    var isSourceEmpty = false
    if instruction.operand0.kind == .memory {
      source = try x87Source(instruction)
    } else {
      destination = instruction.operand0.register
      let register = instruction.operand1.register
      source = x87[register].decoded
      isSourceEmpty = x87.isEmpty(register)
    }
    let pops =
      switch instruction.mnemonic {
      case .faddp, .fmulp, .fsubp, .fsubrp, .fdivp, .fdivrp: true
      default: false
      }
    if x87.isEmpty(destination) || isSourceEmpty {
      guard x87.stackFault(isOverflow: false) else { return }
      x87[destination] = .indefinite
    } else {
      var environment = x87.environment
      let result = operation.result(x87[destination].decoded, source, &environment)
      let register = X87Register(result, &environment)
      guard x87.note(environment) else { return }
      x87[destination] = register
    }
    if pops { x87.pop() }
  }
}

// MARK: - Comparison

extension Core {
  func executeX87Comparison(_ instruction: borrowing Instruction) throws(Interruption) {
    let mnemonic = instruction.mnemonic
    var source = UnroundedValue.zero(isNegative: false)
    var isEmpty = x87.isEmpty(0)
    switch (mnemonic, instruction.operand0.kind) {
    case (.ftst, _): break
    case (.fcompp, _), (.fucompp, _):
      source = x87[1].decoded
      isEmpty = isEmpty || x87.isEmpty(1)
    case (_, .memory): source = try x87Source(instruction)
    default:
      let register = instruction.operand0.register
      source = x87[register].decoded
      isEmpty = isEmpty || x87.isEmpty(register)
    }
    var relation = FloatingRelation.unordered
    let isComplete: Bool
    if isEmpty {
      isComplete = x87.stackFault(isOverflow: false)
    } else {
      var environment = x87.environment
      let isQuiet =
        switch mnemonic {
        case .fucom, .fucomp, .fucompp, .fucomi, .fucomip: true
        default: false
        }
      relation = environment.relation(x87[0].decoded, source, isSignaling: !isQuiet)
      let before = extendedState.pointee.statusWord
      isComplete = x87.note(environment)
      // FCOMI and its kin leave C1 as it is.
      if tellsInFlags(mnemonic) { x87.setConditions(before, mask: X87Unit.Status.c1) }
    }
    tell(relation, mnemonic)
    if isComplete { popAfterComparison(mnemonic) }
  }

  private func tellsInFlags(_ mnemonic: Mnemonic) -> Bool {
    switch mnemonic {
    case .fcomi, .fcomip, .fucomi, .fucomip: true
    default: false
    }
  }

  /// Sets the condition codes, or the status flags for FCOMI and its kin.
  private func tell(_ relation: FloatingRelation, _ mnemonic: Mnemonic) {
    if tellsInFlags(mnemonic) {
      let bits: RFLAGS =
        switch relation {
        case .greater: []
        case .less: .cf
        case .equal: .zf
        case .unordered: [.zf, .pf, .cf]
        }
      setFlags(bits.rawValue, mask: RFLAGS.status.rawValue)
    } else {
      let codes: UInt16 =
        switch relation {
        case .greater: 0
        case .less: X87Unit.Status.c0
        case .equal: X87Unit.Status.c3
        case .unordered: X87Unit.Status.c3 | X87Unit.Status.c2 | X87Unit.Status.c0
        }
      x87.setConditions(codes, mask: X87Unit.Status.conditions & ~X87Unit.Status.c1)
    }
  }

  private func popAfterComparison(_ mnemonic: Mnemonic) {
    switch mnemonic {
    case .fcomp, .ficomp, .fucomp, .fcomip, .fucomip: x87.pop()
    case .fcompp, .fucompp:
      x87.pop()
      x87.pop()
    default: break
    }
  }
}
