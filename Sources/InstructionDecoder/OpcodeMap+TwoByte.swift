extension OpcodeMap {
  /// The opcodes behind 0FH.
  ///
  /// Source: SDM volume 2, "Opcode Map", "Two-byte Opcode Map".
  static let twoByteRows: InlineArray<256, OpcodeRow> = [
    // 00: Groups 6 and 7
    .by(.reg, .group6), .by(.reg, .group7), .i(.lar, .gv, .ew), .i(.lsl, .gv, .ew), .none,
    .i(.syscall, .only64), .i(.clts), .i(.sysret, .only64),
    // 08
    .i(.invd), .by(.prefix, .wbinvd), .none, .i(.ud2), .none, .i(.nop, .ev), .none, .none,
    // 10: SSE
    .none, .none, .none, .none, .none, .none, .none, .none,
    // 18: hints and reserved NOPs
    .i(.nop, .ev), .i(.nop, .ev), .i(.nop, .ev), .i(.nop, .ev), .i(.nop, .ev), .i(.nop, .ev), .i(.nop, .ev),
    .i(.nop, .ev),
    // 20: MOV of control and debug registers
    .i(.movFromControl, .rn, .cn), .i(.movFromDebug, .rn, .dn), .i(.movToControl, .cn, .rn),
    .i(.movToDebug, .dn, .rn), .none, .none, .none, .none,
    // 28: SSE
    .none, .none, .none, .none, .none, .none, .none, .none,
    // 30
    .i(.wrmsr), .i(.rdtsc), .i(.rdmsr), .i(.rdpmc), .i(.sysenter), .i(.sysexit), .none, .none,
    // 38: 38 and 3A are the escapes to the three-byte maps
    .none, .none, .none, .none, .none, .none, .none, .none,
    // 40: CMOVcc
    .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev),
    .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev),
    .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev),
    .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev), .i(.cmovcc, .gv, .ev),
    // 50: SSE
    .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .none,
    // 60: MMX and SSE
    .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .none,
    // 70: MMX and SSE
    .none, .none, .none, .none, .none, .none, .none, .none,
    // 78: VMX
    .by(.prefix, .vmread), .by(.prefix, .vmwrite), .none, .none, .none, .none, .none, .none,
    // 80: Jcc
    .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64),
    .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64),
    .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64),
    .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64), .i(.jcc, .jz, .force64),
    // 90: SETcc
    .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb),
    .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb),
    .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb), .i(.setcc, .eb),
    // A0
    .i(.pushSegment, .opcodeSegment, .default64), .i(.popSegment, .opcodeSegment, .default64), .i(.cpuid),
    .i(.bt, .ev, .gv), .i(.shld, .ev, .gv, .ib), .i(.shld, .ev, .gv, .cl), .none, .none,
    // A8: Group 15 at AE
    .i(.pushSegment, .opcodeSegment, .default64), .i(.popSegment, .opcodeSegment, .default64), .none,
    .i(.bts, .ev, .gv, .lock), .i(.shrd, .ev, .gv, .ib), .i(.shrd, .ev, .gv, .cl), .by(.mod, .group15),
    .i(.imul, .gv, .ev),
    // B0
    .i(.cmpxchg, .eb, .gb, .lock), .i(.cmpxchg, .ev, .gv, .lock), .i(.lss, .gv, .mp),
    .i(.btr, .ev, .gv, .lock), .i(.lfs, .gv, .mp), .i(.lgs, .gv, .mp), .i(.movzx, .gv, .eb),
    .i(.movzx, .gv, .ew),
    // B8: Group 8 at BA
    .by(.prefix, .popcnt), .i(.ud1, .gv, .ev), .by(.reg, .group8, .ev, .ib), .i(.btc, .ev, .gv, .lock),
    .by(.prefix, .bsfTZCNT, .gv, .ev), .by(.prefix, .bsrLZCNT, .gv, .ev), .i(.movsx, .gv, .eb),
    .i(.movsx, .gv, .ew),
    // C0: Group 9 at C7
    .i(.xadd, .eb, .gb, .lock), .i(.xadd, .ev, .gv, .lock), .none, .i(.movnti, .my, .gy, .noPrefix), .none,
    .none, .none, .by(.reg, .group9),
    // C8: BSWAP
    .i(.bswap, .zv), .i(.bswap, .zv), .i(.bswap, .zv), .i(.bswap, .zv), .i(.bswap, .zv), .i(.bswap, .zv),
    .i(.bswap, .zv), .i(.bswap, .zv),
    // D0: MMX and SSE
    .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .none,
    // E0: MMX and SSE
    .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .none,
    // F0: MMX and SSE
    .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .i(.ud0, .gv, .ev),
  ]
}
