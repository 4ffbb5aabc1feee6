import InstructionDecoder

/// What the processor does with an instruction of a guest.
enum InstructionClass: UInt8 {
  /// The guest's virtual CPU executes it: it moves data or computes, and VMX has no part in it.
  case plain
  /// The software processor executes it: it can cause a VM exit, reads or changes state that the virtual CPU does not
  /// have as the guest sees it, is no part of what every processor has, or copies or compares memory that may be the code
  /// which is being executed.
  case sensitive
  /// A jump or call to the place that the instruction names, which is plain as far as that place is known.
  case directBranch
  /// A jump that the instruction may or may not make.
  case conditionalBranch
  /// A return in the same code segment.
  case nearReturn
}

extension Instruction {
  /// A table: whatever is not in it is sensitive, so that an instruction nobody thought of is exact and merely slow.
  var instructionClass: InstructionClass {
    switch mnemonic {
    case .mov, .movzx, .movsx, .movsxd, .cmovcc, .xchg, .bswap, .lea, .xlat, .lahf, .sahf,
      .add, .or, .adc, .sbb, .and, .sub, .xor, .cmp, .test, .inc, .dec, .not, .neg,
      .mul, .imul, .div, .idiv, .xadd, .cmpxchg, .cmpxchg8b, .cbw, .cwd,
      .rol, .ror, .rcl, .rcr, .shl, .shr, .sal, .sar, .shld, .shrd,
      .bt, .bts, .btr, .btc, .bsf, .bsr, .setcc,
      .push, .pop, .leave, .stos,
      .clc, .stc, .cmc, .cld, .std, .cli, .nop:
      .plain
    case .jmp, .call: operand0.kind == .relative ? .directBranch : .sensitive
    case .ret: .nearReturn
    case .jcc, .jcxz, .loop, .loope, .loopne: .conditionalBranch
    default: .sensitive
    }
  }
}
