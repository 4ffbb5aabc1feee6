extension OpcodeMap {
  /// The row of the x87 instruction of `opcode` (D8H to DFH) and `modRM`.
  @inline(__always)
  static func x87Row(_ opcode: UInt8, modRM: UInt8) -> OpcodeRow {
    let form = modRM >= 0xC0 ? 8 : 0
    return x87Rows[Int(opcode & 7) &* 16 &+ form &+ Int(modRM >> 3 & 7)]
  }

  /// For each of the opcodes D8H to DFH, eight rows by ModRM's bits 5:3 for a memory operand, and eight for a register.
  ///
  /// The rows that the SDM leaves reserved but every processor executes as another encoding of an instruction have that
  /// instruction: D9 D8, DC D0 and D8, DD C8, DE D0, DF C0, C8, D0 and D8.
  ///
  /// Source: SDM volume 2, "Escape Opcode Instructions".
  private static let x87Rows: InlineArray<128, OpcodeRow> = [
    // D8
    .i(.fadd, .md), .i(.fmul, .md), .i(.fcom, .md), .i(.fcomp, .md), .i(.fsub, .md), .i(.fsubr, .md),
    .i(.fdiv, .md), .i(.fdivr, .md),
    .i(.fadd, .st0, .sti), .i(.fmul, .st0, .sti), .i(.fcom, .sti), .i(.fcomp, .sti), .i(.fsub, .st0, .sti),
    .i(.fsubr, .st0, .sti), .i(.fdiv, .st0, .sti), .i(.fdivr, .st0, .sti),
    // D9
    .i(.fld, .md), .none, .i(.fst, .md), .i(.fstp, .md), .i(.fldenv, .m), .i(.fldcw, .mw), .i(.fnstenv, .m),
    .i(.fnstcw, .mw),
    .i(.fld, .sti), .i(.fxch, .sti), .by(.rm, .x87D9D0), .i(.fstp, .sti), .by(.rm, .x87D9E0),
    .by(.rm, .x87D9E8), .by(.rm, .x87D9F0), .by(.rm, .x87D9F8),
    // DA
    .i(.fiadd, .md), .i(.fimul, .md), .i(.ficom, .md), .i(.ficomp, .md), .i(.fisub, .md), .i(.fisubr, .md),
    .i(.fidiv, .md), .i(.fidivr, .md),
    .i(.fcmovcc, .st0, .sti), .i(.fcmovcc, .st0, .sti), .i(.fcmovcc, .st0, .sti), .i(.fcmovcc, .st0, .sti),
    .none, .by(.rm, .x87DAE8), .none, .none,
    // DB
    .i(.fild, .md), .i(.fisttp, .md), .i(.fist, .md), .i(.fistp, .md), .none, .i(.fld, .m10), .none,
    .i(.fstp, .m10),
    .i(.fcmovcc, .st0, .sti), .i(.fcmovcc, .st0, .sti), .i(.fcmovcc, .st0, .sti), .i(.fcmovcc, .st0, .sti),
    .by(.rm, .x87DBE0), .i(.fucomi, .sti), .i(.fcomi, .sti), .none,
    // DC
    .i(.fadd, .mq), .i(.fmul, .mq), .i(.fcom, .mq), .i(.fcomp, .mq), .i(.fsub, .mq), .i(.fsubr, .mq),
    .i(.fdiv, .mq), .i(.fdivr, .mq),
    .i(.fadd, .sti, .st0), .i(.fmul, .sti, .st0), .i(.fcom, .sti), .i(.fcomp, .sti), .i(.fsubr, .sti, .st0),
    .i(.fsub, .sti, .st0), .i(.fdivr, .sti, .st0), .i(.fdiv, .sti, .st0),
    // DD
    .i(.fld, .mq), .i(.fisttp, .mq), .i(.fst, .mq), .i(.fstp, .mq), .i(.frstor, .m), .none, .i(.fnsave, .m),
    .i(.fnstsw, .mw),
    .i(.ffree, .sti), .i(.fxch, .sti), .i(.fst, .sti), .i(.fstp, .sti), .i(.fucom, .sti), .i(.fucomp, .sti),
    .none, .none,
    // DE
    .i(.fiadd, .mw), .i(.fimul, .mw), .i(.ficom, .mw), .i(.ficomp, .mw), .i(.fisub, .mw), .i(.fisubr, .mw),
    .i(.fidiv, .mw), .i(.fidivr, .mw),
    .i(.faddp, .sti, .st0), .i(.fmulp, .sti, .st0), .i(.fcomp, .sti), .by(.rm, .x87DED8),
    .i(.fsubrp, .sti, .st0), .i(.fsubp, .sti, .st0), .i(.fdivrp, .sti, .st0), .i(.fdivp, .sti, .st0),
    // DF
    .i(.fild, .mw), .i(.fisttp, .mw), .i(.fist, .mw), .i(.fistp, .mw), .i(.fbld, .m10), .i(.fild, .mq),
    .i(.fbstp, .m10), .i(.fistp, .mq),
    .i(.ffreep, .sti), .i(.fxch, .sti), .i(.fstp, .sti), .i(.fstp, .sti), .by(.rm, .x87DFE0),
    .i(.fucomip, .sti), .i(.fcomip, .sti), .none,
  ]
}
