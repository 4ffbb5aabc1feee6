import InstructionDecoder
import X86

/// What the interpreter has to do for an instruction.
enum InstructionKind {
  /// Executed by ``Core/executeInteger(_:)``; the next one follows.
  case straight
  /// Executed by ``Core/executeInteger(_:)``, which sets `rip`.
  case branch
  /// Executed by ``Core/executeSystem(_:)``, which sets `rip`.
  case system

  init(_ mnemonic: Mnemonic) {
    switch mnemonic {
    case .mov, .movFromSegment, .movzx, .movsx, .movsxd, .movbe, .movnti, .movdiri, .movdir64b, .cmovcc,
      .xchg,
      .bswap, .lea, .xlat, .push, .pop, .pushSegment, .pusha, .popa, .enter, .leave, .lahf, .sahf:
      self = .straight
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc, .dec, .not, .neg, .mul, .imul, .div,
      .idiv,
      .xadd, .cmpxchg, .cmpxchg8b, .cmpxchg16b, .adcx, .adox, .crc32, .cbw, .cwd, .daa, .das, .aaa, .aas,
      .salc,
      .aam,
      .aad, .rol, .ror, .rcl, .rcr, .shl, .shr, .sal, .sar, .shld, .shrd:
      self = .straight
    case .bt, .bts, .btr, .btc, .bsf, .bsr, .tzcnt, .lzcnt, .popcnt, .andn, .bextr, .blsi, .blsmsk, .blsr,
      .bzhi,
      .pdep, .pext, .rorx, .sarx, .shlx, .shrx, .mulx, .clc, .stc, .cmc, .cld, .std, .setcc, .bound:
      self = .straight
    case _ where mnemonic.isX87 || mnemonic.isVector: self = .straight
    case .nop, .lfence, .mfence, .sfence, .serialize, .clflush, .clflushopt, .clwb, .fwait, .fxsave, .fxrstor,
      .ldmxcsr, .stmxcsr, .ud0, .ud1, .ud2,
      .invalid:
      self = .straight
    case .movs, .cmps, .stos, .lods, .scas, .jcc, .jcxz, .loop, .loope, .loopne, .jmp, .call, .ret:
      self = .branch
    default:
      self = .system
    }
  }
}

extension Core {
  /// Executes an instruction of kind `.straight` or `.branch` at `rip`. Only a branch changes `rip`.
  func executeInteger(_ instruction: borrowing Instruction) throws(Interruption) {
    if instruction.mnemonic.isVector { return try executeVector(copy instruction) }
    switch instruction.mnemonic {
    case .mov, .movnti, .movdiri, .movzx, .movFromSegment: try executeMove(instruction)
    case .movsx, .movsxd: try executeMoveSigned(instruction)
    case .cmovcc: try executeConditionalMove(instruction)
    case .setcc:
      try set(instruction.operand0, instruction, flags.pointee.holds(instruction.condition) ? 1 : 0)
    case .lea:
      writeRegister(
        instruction.operand0.register, offset(of: instruction), OperandSize(instruction.operandSize))
    case .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test: try executeBinary(instruction)
    case .inc, .dec, .not, .neg: try executeUnary(instruction)
    case .rol, .ror, .rcl, .rcr, .shl, .shr, .sal, .sar: try executeShift(instruction)
    case .push, .pushSegment: try executePush(instruction)
    case .pop: try executePop(instruction)
    case .jcc, .jcxz, .loop, .loope, .loopne: try executeConditionalJump(instruction)
    case .jmp: try executeJump(instruction)
    case .call: try executeCall(instruction)
    case .ret: try executeReturn(instruction)
    case .movs, .cmps, .stos, .lods, .scas: try executeString(instruction)
    case .nop, .lfence, .mfence, .sfence, .serialize: break
    default: try executeArithmetic(instruction)
    }
  }

  /// The rarer arithmetic and bit instructions.
  private func executeArithmetic(_ instruction: borrowing Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .mul: try executeMultiply(instruction)
    case .imul where instruction.operandCount == 1: try executeMultiply(instruction)
    case .imul: try executeMultiplySigned(instruction)
    case .mulx: try executeMultiplyWithoutFlags(instruction)
    case .div, .idiv: try executeDivide(instruction)
    case .cbw: executeExtendAccumulator(instruction)
    case .cwd: executeSignToData(instruction)
    case .xadd: try executeExchangeAdd(instruction)
    case .xchg: try executeExchange(instruction)
    case .cmpxchg: try executeCompareExchange(instruction)
    case .cmpxchg8b, .cmpxchg16b: try executeCompareExchangePair(instruction)
    case .adcx, .adox: try executeAddCarrying(instruction)
    case .shld, .shrd: try executeDoubleShift(instruction)
    case .rorx, .sarx, .shlx, .shrx: try executeShiftWithoutFlags(instruction)
    case .bt, .bts, .btr, .btc: try executeBitTest(instruction)
    case .bsf, .bsr: try executeBitScan(instruction)
    case .tzcnt, .lzcnt, .popcnt: try executeBitCount(instruction)
    case .andn, .bextr, .bzhi: try executeBitField(instruction)
    case .blsi, .blsmsk, .blsr: try executeLowestBit(instruction)
    case .pdep, .pext: try executeBitGather(instruction)
    case .crc32: try executeCRC32(instruction)
    default: try executeMiscellaneous(instruction)
    }
  }

  private func executeMiscellaneous(_ instruction: borrowing Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .movbe: try executeMoveSwapped(instruction)
    case .movdir64b: try executeMoveDirect64(instruction)
    case .bswap: executeByteSwap(instruction)
    case .xlat: try executeTranslateByte(instruction)
    case .pusha: try executePushAll(instruction)
    case .popa: try executePopAll(instruction)
    case .enter: try executeEnter(instruction)
    case .leave: try executeLeave(instruction)
    case .bound: try executeBound(instruction)
    case .lahf: executeLoadFlags()
    case .sahf: executeStoreFlags()
    case .clc: flags.pointee.replace(StatusFlags.cf, with: 0)
    case .stc: flags.pointee.replace(StatusFlags.cf, with: StatusFlags.cf)
    case .cmc: flags.pointee.replace(StatusFlags.cf, with: flags.pointee.carry ? 0 : StatusFlags.cf)
    case .cld: cpu.pointee.rflagsSystem &= ~RFLAGS.df.rawValue
    case .std: cpu.pointee.rflagsSystem |= RFLAGS.df.rawValue
    case .daa, .das: executeDecimalAdjust(subtracting: instruction.mnemonic == .das)
    case .aaa, .aas: executeASCIIAdjust(subtracting: instruction.mnemonic == .aas)
    case .aam: try executeASCIIAdjustProduct(base: instruction.immediate)
    case .salc: writeRegister(0, flags.pointee.carry ? 0xFF : 0, .byte)
    case .aad: executeASCIIAdjustQuotient(base: instruction.immediate)
    case .clflush, .clflushopt, .clwb: _ = try value(of: instruction.operand0, instruction)
    case .fxsave, .fxrstor, .ldmxcsr, .stmxcsr: try executeStateMovement(instruction)
    case .fwait:
      // MP and TS: SDM volume 3, "Control Registers".
      if cpu.pointee.cr0 & 0b1010 == 0b1010 { throw raise(.deviceNotAvailable) }
      try checkX87Error()
    case _ where instruction.mnemonic.isX87: try executeX87(instruction)
    default: throw raise(.invalidOpcode)
    }
  }
}
