extension OpcodeMap {
  /// The one-byte opcodes, 8 to a paragraph.
  ///
  /// Source: SDM volume 2, "Opcode Map", "One-byte Opcode Map".
  static let oneByteRows: InlineArray<256, OpcodeRow> = [
    // 00: ADD
    .i(.add, .eb, .gb, .lock), .i(.add, .ev, .gv, .lock), .i(.add, .gb, .eb), .i(.add, .gv, .ev),
    .i(.add, .al, .ib), .i(.add, .rax, .iz), .i(.pushSegment, .opcodeSegment, .not64),
    .i(.popSegment, .opcodeSegment, .not64),
    // 08: OR; 0F is the escape to the two-byte map
    .i(.or, .eb, .gb, .lock), .i(.or, .ev, .gv, .lock), .i(.or, .gb, .eb), .i(.or, .gv, .ev),
    .i(.or, .al, .ib), .i(.or, .rax, .iz), .i(.pushSegment, .opcodeSegment, .not64), .none,
    // 10: ADC
    .i(.adc, .eb, .gb, .lock), .i(.adc, .ev, .gv, .lock), .i(.adc, .gb, .eb), .i(.adc, .gv, .ev),
    .i(.adc, .al, .ib), .i(.adc, .rax, .iz), .i(.pushSegment, .opcodeSegment, .not64),
    .i(.popSegment, .opcodeSegment, .not64),
    // 18: SBB
    .i(.sbb, .eb, .gb, .lock), .i(.sbb, .ev, .gv, .lock), .i(.sbb, .gb, .eb), .i(.sbb, .gv, .ev),
    .i(.sbb, .al, .ib), .i(.sbb, .rax, .iz), .i(.pushSegment, .opcodeSegment, .not64),
    .i(.popSegment, .opcodeSegment, .not64),
    // 20: AND; 26 is a prefix
    .i(.and, .eb, .gb, .lock), .i(.and, .ev, .gv, .lock), .i(.and, .gb, .eb), .i(.and, .gv, .ev),
    .i(.and, .al, .ib), .i(.and, .rax, .iz), .none, .i(.daa, .not64),
    // 28: SUB; 2E is a prefix
    .i(.sub, .eb, .gb, .lock), .i(.sub, .ev, .gv, .lock), .i(.sub, .gb, .eb), .i(.sub, .gv, .ev),
    .i(.sub, .al, .ib), .i(.sub, .rax, .iz), .none, .i(.das, .not64),
    // 30: XOR; 36 is a prefix
    .i(.xor, .eb, .gb, .lock), .i(.xor, .ev, .gv, .lock), .i(.xor, .gb, .eb), .i(.xor, .gv, .ev),
    .i(.xor, .al, .ib), .i(.xor, .rax, .iz), .none, .i(.aaa, .not64),
    // 38: CMP; 3E is a prefix
    .i(.cmp, .eb, .gb), .i(.cmp, .ev, .gv), .i(.cmp, .gb, .eb), .i(.cmp, .gv, .ev), .i(.cmp, .al, .ib),
    .i(.cmp, .rax, .iz), .none, .i(.aas, .not64),
    // 40: INC (REX prefixes in 64-bit mode)
    .i(.inc, .zv, .not64), .i(.inc, .zv, .not64), .i(.inc, .zv, .not64), .i(.inc, .zv, .not64),
    .i(.inc, .zv, .not64), .i(.inc, .zv, .not64), .i(.inc, .zv, .not64), .i(.inc, .zv, .not64),
    // 48: DEC (REX prefixes in 64-bit mode)
    .i(.dec, .zv, .not64), .i(.dec, .zv, .not64), .i(.dec, .zv, .not64), .i(.dec, .zv, .not64),
    .i(.dec, .zv, .not64), .i(.dec, .zv, .not64), .i(.dec, .zv, .not64), .i(.dec, .zv, .not64),
    // 50: PUSH
    .i(.push, .zv, .default64), .i(.push, .zv, .default64), .i(.push, .zv, .default64),
    .i(.push, .zv, .default64), .i(.push, .zv, .default64), .i(.push, .zv, .default64),
    .i(.push, .zv, .default64), .i(.push, .zv, .default64),
    // 58: POP
    .i(.pop, .zv, .default64), .i(.pop, .zv, .default64), .i(.pop, .zv, .default64),
    .i(.pop, .zv, .default64), .i(.pop, .zv, .default64), .i(.pop, .zv, .default64),
    .i(.pop, .zv, .default64), .i(.pop, .zv, .default64),
    // 60: 64 to 67 are prefixes
    .i(.pusha, .not64), .i(.popa, .not64), .i(.bound, .gv, .ma, .not64), .by(.mode, .arplMOVSXD), .none,
    .none, .none, .none,
    // 68
    .i(.push, .iz, .default64), .i(.imul, .gv, .ev, .iz), .i(.push, .ibs, .default64),
    .i(.imul, .gv, .ev, .ibs), .i(.ins, .byte), .i(.ins, .max32), .i(.outs, .byte), .i(.outs, .max32),
    // 70: Jcc
    .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64),
    .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64),
    .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64),
    .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64), .i(.jcc, .jb, .force64),
    // 80: Group 1
    .by(.reg, .group1, .eb, .ib), .by(.reg, .group1, .ev, .iz), .by(.reg, .group1, .eb, .ib, .not64),
    .by(.reg, .group1, .ev, .ibs), .i(.test, .eb, .gb), .i(.test, .ev, .gv), .i(.xchg, .eb, .gb, .lock),
    .i(.xchg, .ev, .gv, .lock),
    // 88: MOV, LEA, Group 1A
    .i(.mov, .eb, .gb), .i(.mov, .ev, .gv), .i(.mov, .gb, .eb), .i(.mov, .gv, .ev),
    .i(.movFromSegment, .evOrMw, .sw), .i(.lea, .gv, .m), .i(.movToSegment, .sw, .ew), .by(.reg, .group1A),
    // 90: XCHG
    .by(.rexB, .nopXCHG), .i(.xchg, .zv, .rax), .i(.xchg, .zv, .rax), .i(.xchg, .zv, .rax),
    .i(.xchg, .zv, .rax), .i(.xchg, .zv, .rax), .i(.xchg, .zv, .rax), .i(.xchg, .zv, .rax),
    // 98
    .i(.cbw), .i(.cwd), .i(.callFar, .ap, .not64), .i(.fwait), .i(.pushf, .default64),
    .i(.popf, .default64), .i(.sahf), .i(.lahf),
    // A0
    .i(.mov, .al, .ob), .i(.mov, .rax, .ov), .i(.mov, .ob, .al), .i(.mov, .ov, .rax), .i(.movs, .byte),
    .i(.movs), .i(.cmps, .byte), .i(.cmps),
    // A8
    .i(.test, .al, .ib), .i(.test, .rax, .iz), .i(.stos, .byte), .i(.stos), .i(.lods, .byte), .i(.lods),
    .i(.scas, .byte), .i(.scas),
    // B0: MOV immediate byte
    .i(.mov, .zb, .ib), .i(.mov, .zb, .ib), .i(.mov, .zb, .ib), .i(.mov, .zb, .ib), .i(.mov, .zb, .ib),
    .i(.mov, .zb, .ib), .i(.mov, .zb, .ib), .i(.mov, .zb, .ib),
    // B8: MOV immediate
    .i(.mov, .zv, .iv), .i(.mov, .zv, .iv), .i(.mov, .zv, .iv), .i(.mov, .zv, .iv), .i(.mov, .zv, .iv),
    .i(.mov, .zv, .iv), .i(.mov, .zv, .iv), .i(.mov, .zv, .iv),
    // C0: Group 2, RET, Group 11 (C4 and C5 are VEX prefixes where they are not LES and LDS)
    .by(.reg, .group2, .eb, .ib), .by(.reg, .group2, .ev, .ib), .i(.ret, .iw, .force64), .i(.ret, .force64),
    .i(.les, .gv, .mp, .not64), .i(.lds, .gv, .mp, .not64), .by(.reg, .group11, .eb, .ib),
    .by(.reg, .group11, .ev, .iz),
    // C8
    .i(.enter, .iw, .ibSecond, .default64), .i(.leave, .default64), .i(.retFar, .iw), .i(.retFar),
    .i(.int3), .i(.int, .ib), .i(.into, .not64), .i(.iret),
    // D0: Group 2
    .by(.reg, .group2, .eb, .one), .by(.reg, .group2, .ev, .one), .by(.reg, .group2, .eb, .cl),
    .by(.reg, .group2, .ev, .cl), .i(.aam, .ib, .not64), .i(.aad, .ib, .not64),
    // SALC is on no page of the SDM, and in every processor.
    .i(.salc, .not64), .i(.xlat, .byte),
    // D8: x87
    .by(.x87, .none), .by(.x87, .none), .by(.x87, .none), .by(.x87, .none), .by(.x87, .none),
    .by(.x87, .none), .by(.x87, .none), .by(.x87, .none),
    // E0
    .i(.loopne, .jb, .force64), .i(.loope, .jb, .force64), .i(.loop, .jb, .force64),
    .i(.jcxz, .jb, .force64), .i(.in, .al, .ib), .i(.in, .rax, .ib, .max32), .i(.out, .ib, .al, .byte),
    .i(.out, .ib, .rax, .max32),
    // E8
    .i(.call, .jz, .force64), .i(.jmp, .jz, .force64), .i(.jmpFar, .ap, .not64), .i(.jmp, .jb, .force64),
    .i(.in, .al, .dx), .i(.in, .rax, .dx, .max32), .i(.out, .dx, .al, .byte), .i(.out, .dx, .rax, .max32),
    // F0: F0, F2 and F3 are prefixes
    .none, .i(.int1), .none, .none, .i(.hlt), .i(.cmc), .by(.reg, .group3Byte, .eb),
    .by(.reg, .group3, .ev),
    // F8
    .i(.clc), .i(.stc), .i(.cli), .i(.sti), .i(.cld), .i(.std), .by(.reg, .group4, .eb), .by(.reg, .group5),
  ]
}
