/// What a ``Record`` does: one case of the interpreter's switch.
///
/// In the names R is a register, M memory and I an immediate, destination first, and a number is the operand size in
/// bytes. Within a group the order is what ``BlockBuilder`` computes with.
enum Operation: UInt16 {
  // Any instruction, carried whole.
  case straight, branch, system

  // The end of a block: the next instruction is in another; or the block was dropped, and goes on decoded again.
  case next, stale

  // Add, or, adc, sbb, and, sub, xor, cmp, test; by form; of 4 and 8 bytes.
  case addRR4, addRR8, addRI4, addRI8, addRM4, addRM8, addMR4, addMR8, addMI4, addMI8, orRR4, orRR8,
    orRI4, orRI8, orRM4, orRM8, orMR4, orMR8, orMI4, orMI8, adcRR4, adcRR8, adcRI4, adcRI8, adcRM4,
    adcRM8, adcMR4, adcMR8, adcMI4, adcMI8, sbbRR4, sbbRR8, sbbRI4, sbbRI8, sbbRM4, sbbRM8, sbbMR4,
    sbbMR8, sbbMI4, sbbMI8, andRR4, andRR8, andRI4, andRI8, andRM4, andRM8, andMR4, andMR8, andMI4,
    andMI8, subRR4, subRR8, subRI4, subRI8, subRM4, subRM8, subMR4, subMR8, subMI4, subMI8, xorRR4,
    xorRR8, xorRI4, xorRI8, xorRM4, xorRM8, xorMR4, xorMR8, xorMI4, xorMI8, cmpRR4, cmpRR8, cmpRI4,
    cmpRI8, cmpRM4, cmpRM8, cmpMR4, cmpMR8, cmpMI4, cmpMI8, testRR4, testRR8, testRI4, testRI8,
    testRM4, testRM8, testMR4, testMR8, testMI4, testMI8

  // The same of 1 and 2 bytes.
  case addRR1, addRR2, addRI1, addRI2, addRM1, addRM2, addMR1, addMR2, addMI1, addMI2, orRR1, orRR2,
    orRI1, orRI2, orRM1, orRM2, orMR1, orMR2, orMI1, orMI2, adcRR1, adcRR2, adcRI1, adcRI2, adcRM1,
    adcRM2, adcMR1, adcMR2, adcMI1, adcMI2, sbbRR1, sbbRR2, sbbRI1, sbbRI2, sbbRM1, sbbRM2, sbbMR1,
    sbbMR2, sbbMI1, sbbMI2, andRR1, andRR2, andRI1, andRI2, andRM1, andRM2, andMR1, andMR2, andMI1,
    andMI2, subRR1, subRR2, subRI1, subRI2, subRM1, subRM2, subMR1, subMR2, subMI1, subMI2, xorRR1,
    xorRR2, xorRI1, xorRI2, xorRM1, xorRM2, xorMR1, xorMR2, xorMI1, xorMI2, cmpRR1, cmpRR2, cmpRI1,
    cmpRI2, cmpRM1, cmpRM2, cmpMR1, cmpMR2, cmpMI1, cmpMI2, testRR1, testRR2, testRI1, testRI2,
    testRM1, testRM2, testMR1, testMR2, testMI1, testMI2

  // Moves: between registers, loads, stores; the immediate of a register move is the whole register's value.
  case movRR1, movRR2, movRR4, movRR8, movRI1, movRI, movRM1, movRM2, movRM4, movRM8, movMR1,
    movMR2, movMR4, movMR8, movMI1, movMI2, movMI4, movMI8

  // Zero and sign extension, from one size to another.
  case zxRR1To8, zxRR2To8, zxRM1To8, zxRM2To8, sxRR1To4, sxRR1To8, sxRR2To4, sxRR2To8, sxRR4To8,
    sxRM1To4, sxRM1To8, sxRM2To4, sxRM2To8, sxRM4To8

  // Addresses.
  case lea4, lea8

  // One operand.
  case incR4, incR8, incM4, incM8, decR4, decR8, decM4, decM8, negR4, negR8, negM4, negM8, notR4,
    notR8, notM4, notM8

  // Shifts by an immediate that is not zero, and by CL.
  case rolRI4, rolRI8, rolRC4, rolRC8, rorRI4, rorRI8, rorRC4, rorRC8, shlRI4, shlRI8, shlRC4,
    shlRC8, shrRI4, shrRI8, shrRC4, shrRC8, sarRI4, sarRI8, sarRC4, sarRC8

  // Multiplication to one register.
  case imulRR4, imulRR8, imulRM4, imulRM8, imulRRI4, imulRRI8, mulR4, mulR8

  // Sign extension of the accumulator.
  case cbw4, cbw8, cwd4, cwd8

  // On a condition.
  case cmovRR4, cmovRR8, cmovRM4, cmovRM8, setccR

  // Bit tests of registers.
  case btRR4, btRR8, btRI4, btRI8

  // SSE: 16 bytes between registers, loaded and stored; 4 and 8 bytes; integers of two registers, carried; scalar double
  // precision.
  case vectorMove, vectorLoad, vectorStore, scalarLoad4, scalarLoad8, scalarStore4, scalarStore8,
    vectorCombine, scalarDoubleRR, scalarDoubleRM

  // The stack, 8 bytes at a time.
  case pushR, pushI, popR, leave

  // Near branches in 64-bit mode.
  case jmp, jmpR, jmpM, call, callR, callM, ret

  // Conditional jumps, by condition.
  case jo, jno, jb, jae, je, jne, jbe, ja, js, jns, jp, jnp, jl, jge, jle, jg

  // A comparison or test and the conditional jump behind it, by condition.
  case cmpRR4JO, cmpRR4JNO, cmpRR4JB, cmpRR4JAE, cmpRR4JE, cmpRR4JNE, cmpRR4JBE, cmpRR4JA, cmpRR4JS,
    cmpRR4JNS, cmpRR4JP, cmpRR4JNP, cmpRR4JL, cmpRR4JGE, cmpRR4JLE, cmpRR4JG
  case cmpRR8JO, cmpRR8JNO, cmpRR8JB, cmpRR8JAE, cmpRR8JE, cmpRR8JNE, cmpRR8JBE, cmpRR8JA, cmpRR8JS,
    cmpRR8JNS, cmpRR8JP, cmpRR8JNP, cmpRR8JL, cmpRR8JGE, cmpRR8JLE, cmpRR8JG
  case cmpRI4JO, cmpRI4JNO, cmpRI4JB, cmpRI4JAE, cmpRI4JE, cmpRI4JNE, cmpRI4JBE, cmpRI4JA, cmpRI4JS,
    cmpRI4JNS, cmpRI4JP, cmpRI4JNP, cmpRI4JL, cmpRI4JGE, cmpRI4JLE, cmpRI4JG
  case cmpRI8JO, cmpRI8JNO, cmpRI8JB, cmpRI8JAE, cmpRI8JE, cmpRI8JNE, cmpRI8JBE, cmpRI8JA, cmpRI8JS,
    cmpRI8JNS, cmpRI8JP, cmpRI8JNP, cmpRI8JL, cmpRI8JGE, cmpRI8JLE, cmpRI8JG
  case testRR4JO, testRR4JNO, testRR4JB, testRR4JAE, testRR4JE, testRR4JNE, testRR4JBE, testRR4JA,
    testRR4JS, testRR4JNS, testRR4JP, testRR4JNP, testRR4JL, testRR4JGE, testRR4JLE, testRR4JG
  case testRR8JO, testRR8JNO, testRR8JB, testRR8JAE, testRR8JE, testRR8JNE, testRR8JBE, testRR8JA,
    testRR8JS, testRR8JNS, testRR8JP, testRR8JNP, testRR8JL, testRR8JGE, testRR8JLE, testRR8JG
  case cmpRI1JO, cmpRI1JNO, cmpRI1JB, cmpRI1JAE, cmpRI1JE, cmpRI1JNE, cmpRI1JBE, cmpRI1JA, cmpRI1JS,
    cmpRI1JNS, cmpRI1JP, cmpRI1JNP, cmpRI1JL, cmpRI1JGE, cmpRI1JLE, cmpRI1JG
  case testRI1JO, testRI1JNO, testRI1JB, testRI1JAE, testRI1JE, testRI1JNE, testRI1JBE, testRI1JA,
    testRI1JS, testRI1JNS, testRI1JP, testRI1JNP, testRI1JL, testRI1JGE, testRI1JLE, testRI1JG

  // DEC or INC and the jump on ZF behind it.
  case decR4JE, decR4JNE, decR8JE, decR8JNE, incR4JE, incR4JNE, incR8JE, incR8JNE
}

extension Operation {
  /// Whether the record's displacement is the address of the instruction that it carries.
  var carriesInstruction: Bool {
    switch self {
    case .straight, .branch, .system, .vectorCombine: true
    default: false
    }
  }

  /// Whether the record's displacement is the block that it leads to.
  var hasTarget: Bool {
    self == .next || self == .jmp || self == .call || rawValue >= Operation.jo.rawValue
  }

  /// The operation `steps` cases behind this one.
  func advanced(by steps: UInt16) -> Operation { Operation(rawValue: rawValue &+ steps) ?? .straight }
}
