/// A block of eight rows in ``OpcodeMap/extensions``, in the order of that table: the SDM's opcode groups, and what
/// divides by prefix or mode.
///
/// Source: SDM volume 2, "Opcode Extensions For One-Byte And Two-byte Opcodes".
enum ExtensionBlock: UInt8 {
  case none, group1, group1A, group2, group3Byte, group3, group4, group5, group6, group7, group7SGDT
  case group7SIDT, group7LGDT, group7LIDT, group7Reg5, group7INVLPG, group7VMX, group7MONITOR
  case group7XGETBV, group7RDPKRU, group7SWAPGS, group8, group9, group9CMPXCHG, cmpxchg8b16b, group9Reg6
  case group9Reg7, group9VMX, group9RDRAND, group9RDSEED, group11, group15, group15Memory, group15NP
  case group15P66, group15Register, group15Fences, group15Bases, group15RegisterP66, group15RegisterPF2
  case group17, arplMOVSXD, nopXCHG
  case nopPAUSE, wbinvd, vmread, vmwrite, popcnt, bsfTZCNT, bsrLZCNT, invept, invvpid, invpcid
  case movbeLoad, movbeStore, adcxADOX, movdir64b, movdiri, vexANDN, vexGroup17, vexF5, vexMULX
  case vexF7, vexRORX
  case group9Reg3, group9Reg4, group9Reg5, x87D9D0, x87D9E0, x87D9E8, x87D9F0, x87D9F8, x87DAE8, x87DBE0
  case x87DED8, x87DFE0
  case movlps, movhps, group12, group13, group14, group14MMX, vexZero, vexGroup15
}

extension OpcodeMap {
  /// Eight rows for each ``ExtensionBlock``. A row without operands has those of the row that led to it.
  static let extensions: InlineArray<672, OpcodeRow> = [
    // none: no block
    .none, .none, .none, .none, .none, .none, .none, .none,
    // group1: Group 1
    .i(.add, .lock), .i(.or, .lock), .i(.adc, .lock), .i(.sbb, .lock), .i(.and, .lock), .i(.sub, .lock),
    .i(.xor, .lock), .i(.cmp),
    // group1A: Group 1A
    .i(.pop, .ev, .default64), .none, .none, .none, .none, .none, .none, .none,
    // group2: Group 2
    .i(.rol), .i(.ror), .i(.rcl), .i(.rcr), .i(.shl), .i(.shr), .i(.sal), .i(.sar),
    // group3Byte: Group 3, F6
    .i(.test, .eb, .ib), .i(.test, .eb, .ib), .i(.not, .lock), .i(.neg, .lock), .i(.mul), .i(.imul),
    .i(.div), .i(.idiv),
    // group3: Group 3, F7
    .i(.test, .ev, .iz), .i(.test, .ev, .iz), .i(.not, .lock), .i(.neg, .lock), .i(.mul), .i(.imul),
    .i(.div), .i(.idiv),
    // group4: Group 4
    .i(.inc, .lock), .i(.dec, .lock), .none, .none, .none, .none, .none, .none,
    // group5: Group 5
    .i(.inc, .ev, .lock), .i(.dec, .ev, .lock), .i(.call, .ev, .force64), .i(.callFar, .mp),
    .i(.jmp, .ev, .force64), .i(.jmpFar, .mp), .i(.push, .ev, .default64), .none,
    // group6: Group 6
    .i(.sldt, .evOrMw), .i(.str, .evOrMw), .i(.lldt, .ew), .i(.ltr, .ew), .i(.verr, .ew), .i(.verw, .ew),
    .none, .none,
    // group7: Group 7
    .by(.mod, .group7SGDT), .by(.mod, .group7SIDT), .by(.mod, .group7LGDT), .by(.mod, .group7LIDT),
    .i(.smsw, .evOrMw), .by(.mod, .group7Reg5), .i(.lmsw, .ew), .by(.mod, .group7INVLPG),
    // group7SGDT: Group 7 /0
    .i(.sgdt, .ms, .force64), .by(.rm, .group7VMX), .none, .none, .none, .none, .none, .none,
    // group7SIDT: Group 7 /1
    .i(.sidt, .ms, .force64), .by(.rm, .group7MONITOR), .none, .none, .none, .none, .none, .none,
    // group7LGDT: Group 7 /2
    .i(.lgdt, .ms, .force64), .by(.rm, .group7XGETBV), .none, .none, .none, .none, .none, .none,
    // group7LIDT: Group 7 /3: the register forms are SVM
    .i(.lidt, .ms, .force64), .none, .none, .none, .none, .none, .none, .none,
    // group7Reg5: Group 7 /5
    .none, .by(.rm, .group7RDPKRU), .none, .none, .none, .none, .none, .none,
    // group7INVLPG: Group 7 /7
    .i(.invlpg, .m), .by(.rm, .group7SWAPGS), .none, .none, .none, .none, .none, .none,
    // group7VMX: 0F 01 C0 to C7
    .none, .i(.vmcall, .noPrefix), .i(.vmlaunch, .noPrefix), .i(.vmresume, .noPrefix),
    .i(.vmxoff, .noPrefix), .none, .none, .none,
    // group7MONITOR: 0F 01 C8 to CF
    .i(.monitor), .i(.mwait), .i(.clac, .noPrefix), .i(.stac, .noPrefix), .none, .none, .none, .none,
    // group7XGETBV: 0F 01 D0 to D7
    .i(.xgetbv, .noPrefix), .i(.xsetbv, .noPrefix), .none, .none, .i(.vmfunc, .noPrefix), .none, .none,
    .none,
    // group7RDPKRU: 0F 01 E8 to EF
    .i(.serialize, .noPrefix), .none, .none, .none, .none, .none, .i(.rdpkru, .noPrefix),
    .i(.wrpkru, .noPrefix),
    // group7SWAPGS: 0F 01 F8 to FF
    .i(.swapgs, .only64), .i(.rdtscp), .none, .none, .none, .none, .none, .none,
    // group8: Group 8
    .none, .none, .none, .none, .i(.bt), .i(.bts, .lock), .i(.btr, .lock), .i(.btc, .lock),
    // group9: Group 9
    .none, .by(.mod, .group9CMPXCHG), .none, .by(.mod, .group9Reg3), .by(.mod, .group9Reg4),
    .by(.mod, .group9Reg5), .by(.mod, .group9Reg6),
    .by(.mod, .group9Reg7),
    // group9CMPXCHG: Group 9 /1
    .by(.rexW, .cmpxchg8b16b), .none, .none, .none, .none, .none, .none, .none,
    // cmpxchg8b16b: Group 9 /1, memory
    .i(.cmpxchg8b, .mq, .lock), .i(.cmpxchg16b, .mdq, .lock), .none, .none, .none, .none, .none, .none,
    // group9Reg6: Group 9 /6
    .by(.prefix, .group9VMX), .by(.prefix, .group9RDRAND), .none, .none, .none, .none, .none, .none,
    // group9Reg7: Group 9 /7
    .i(.vmptrst, .mq, .noPrefix), .by(.prefix, .group9RDSEED), .none, .none, .none, .none, .none, .none,
    // group9VMX: Group 9 /6, memory
    .i(.vmptrld, .mq), .i(.vmclear, .mq), .i(.vmxon, .mq), .none, .none, .none, .none, .none,
    // group9RDRAND: Group 9 /6, register
    .i(.rdrand, .rv), .i(.rdrand, .rv), .none, .none, .none, .none, .none, .none,
    // group9RDSEED: Group 9 /7, register
    .i(.rdseed, .rv), .i(.rdseed, .rv), .i(.rdpid, .rn), .none, .none, .none, .none, .none,
    // group11: Group 11
    .i(.mov), .none, .none, .none, .none, .none, .none, .none,
    // group15: Group 15
    .by(.prefix, .group15Memory), .by(.prefix, .group15Register), .none, .none, .none, .none, .none, .none,
    // group15Memory: Group 15, memory
    .by(.reg, .group15NP), .by(.reg, .group15P66), .none, .none, .none, .none, .none, .none,
    // group15NP: Group 15, memory, no prefix
    .i(.fxsave, .m), .i(.fxrstor, .m), .i(.ldmxcsr, .md), .i(.stmxcsr, .md), .i(.xsave, .m), .i(.xrstor, .m),
    .i(.xsaveopt, .m), .i(.clflush, .mb),
    // group15P66: Group 15, memory, 66
    .none, .none, .none, .none, .none, .none, .i(.clwb, .mb), .i(.clflushopt, .mb),
    // group15Register: Group 15, register
    .by(.reg, .group15Fences), .by(.reg, .group15RegisterP66), .by(.reg, .group15Bases),
    .by(.reg, .group15RegisterPF2), .none, .none, .none, .none,
    // group15Fences: Group 15, register, no prefix
    .none, .none, .none, .none, .none, .i(.lfence), .i(.mfence), .i(.sfence),
    // group15Bases: Group 15, register, F3
    .i(.rdfsbase, .ry, .only64), .i(.rdgsbase, .ry, .only64), .i(.wrfsbase, .ry, .only64),
    .i(.wrgsbase, .ry, .only64), .none, .none, .i(.umonitor, .ra), .none,
    // group15RegisterP66: Group 15, register, 66
    .none, .none, .none, .none, .none, .none, .i(.tpause, .rd), .none,
    // group15RegisterPF2: Group 15, register, F2
    .none, .none, .none, .none, .none, .none, .i(.umwait, .rd), .none,
    // group17: VEX Group 17
    .none, .i(.blsr), .i(.blsmsk), .i(.blsi), .none, .none, .none, .none,
    // arplMOVSXD: 63
    .i(.arpl, .ew, .gw), .i(.movsxd, .gv, .ez), .none, .none, .none, .none, .none, .none,
    // nopXCHG: 90
    .by(.prefix, .nopPAUSE), .i(.xchg, .zv, .rax), .none, .none, .none, .none, .none, .none,
    // nopPAUSE: 90 without REX.B
    .i(.nop), .i(.nop), .i(.pause), .i(.nop), .none, .none, .none, .none,
    // wbinvd: 0F 09
    .i(.wbinvd), .i(.wbinvd), .i(.wbnoinvd), .i(.wbinvd), .none, .none, .none, .none,
    // vmread: 0F 78
    .i(.vmread, .en, .gn, .force64), .none, .none, .none, .none, .none, .none, .none,
    // vmwrite: 0F 79
    .i(.vmwrite, .gn, .en, .force64), .none, .none, .none, .none, .none, .none, .none,
    // popcnt: 0F B8
    .none, .none, .i(.popcnt, .gv, .ev), .none, .none, .none, .none, .none,
    // bsfTZCNT: 0F BC
    .i(.bsf), .i(.bsf), .i(.tzcnt), .i(.bsf), .none, .none, .none, .none,
    // bsrLZCNT: 0F BD
    .i(.bsr), .i(.bsr), .i(.lzcnt), .i(.bsr), .none, .none, .none, .none,
    // invept: 0F 38 80
    .none, .i(.invept, .gn, .mdq, .force64), .none, .none, .none, .none, .none, .none,
    // invvpid: 0F 38 81
    .none, .i(.invvpid, .gn, .mdq, .force64), .none, .none, .none, .none, .none, .none,
    // invpcid: 0F 38 82
    .none, .i(.invpcid, .gn, .mdq, .force64), .none, .none, .none, .none, .none, .none,
    // movbeLoad: 0F 38 F0
    .i(.movbe, .gv, .mv), .i(.movbe, .gv, .mv), .none, .i(.crc32, .gy, .eb, .byte), .none, .none, .none,
    .none,
    // movbeStore: 0F 38 F1
    .i(.movbe, .mv, .gv), .i(.movbe, .mv, .gv), .none, .i(.crc32, .gy, .ev), .none, .none, .none, .none,
    // adcxADOX: 0F 38 F6
    .none, .i(.adcx, .gy, .ey), .i(.adox, .gy, .ey), .none, .none, .none, .none, .none,
    // movdir64b: 0F 38 F8
    .none, .i(.movdir64b, .ga, .mz), .none, .none, .none, .none, .none, .none,
    // movdiri: 0F 38 F9
    .i(.movdiri, .my, .gy), .none, .none, .none, .none, .none, .none, .none,
    // vexANDN: VEX 0F 38 F2
    .i(.andn, .gy, .by, .ey), .none, .none, .none, .none, .none, .none, .none,
    // vexGroup17: VEX 0F 38 F3
    .by(.reg, .group17, .by, .ey), .none, .none, .none, .none, .none, .none, .none,
    // vexF5: VEX 0F 38 F5
    .i(.bzhi, .gy, .ey, .by), .none, .i(.pext, .gy, .by, .ey), .i(.pdep, .gy, .by, .ey), .none, .none,
    .none, .none,
    // vexMULX: VEX 0F 38 F6
    .none, .none, .none, .i(.mulx, .gy, .by, .ey), .none, .none, .none, .none,
    // vexF7: VEX 0F 38 F7
    .i(.bextr, .gy, .ey, .by), .i(.shlx, .gy, .ey, .by), .i(.sarx, .gy, .ey, .by), .i(.shrx, .gy, .ey, .by),
    .none, .none, .none, .none,
    // vexRORX: VEX 0F 3A F0
    .none, .none, .none, .i(.rorx, .gy, .ey, .ib, .noV), .none, .none, .none, .none,
    // group9Reg3: Group 9 /3
    .i(.xrstors, .m, .noPrefix), .none, .none, .none, .none, .none, .none, .none,
    // group9Reg4: Group 9 /4
    .i(.xsavec, .m, .noPrefix), .none, .none, .none, .none, .none, .none, .none,
    // group9Reg5: Group 9 /5
    .i(.xsaves, .m, .noPrefix), .none, .none, .none, .none, .none, .none, .none,
    // x87D9D0
    .i(.fnop), .none, .none, .none, .none, .none, .none, .none,
    // x87D9E0
    .i(.fchs), .i(.fabs), .none, .none, .i(.ftst), .i(.fxam), .none, .none,
    // x87D9E8
    .i(.fld1), .i(.fldl2t), .i(.fldl2e), .i(.fldpi), .i(.fldlg2), .i(.fldln2), .i(.fldz), .none,
    // x87D9F0
    .i(.f2xm1), .i(.fyl2x), .i(.fptan), .i(.fpatan), .i(.fxtract), .i(.fprem1), .i(.fdecstp), .i(.fincstp),
    // x87D9F8
    .i(.fprem), .i(.fyl2xp1), .i(.fsqrt), .i(.fsincos), .i(.frndint), .i(.fscale), .i(.fsin), .i(.fcos),
    // x87DAE8
    .none, .i(.fucompp), .none, .none, .none, .none, .none, .none,
    // x87DBE0
    .i(.fnobsolete), .i(.fnobsolete), .i(.fnclex), .i(.fninit), .i(.fnobsolete), .none, .none, .none,
    // x87DED8
    .none, .i(.fcompp), .none, .none, .none, .none, .none, .none,
    // x87DFE0
    .i(.fnstsw, .ax), .none, .none, .none, .none, .none, .none, .none,
    // movlps: 0F 12
    .i(.movlps, .vdq, .hdq, .mq), .i(.movhlps, .vdq, .hdq, .ux), .none, .none, .none, .none, .none, .none,
    // movhps: 0F 16
    .i(.movhps, .vdq, .hdq, .mq), .i(.movlhps, .vdq, .hdq, .ux), .none, .none, .none, .none, .none, .none,
    // group12: Group 12
    .none, .none, .i(.psrlw), .none, .i(.psraw), .none, .i(.psllw), .none,
    // group13: Group 13
    .none, .none, .i(.psrld), .none, .i(.psrad), .none, .i(.pslld), .none,
    // group14: Group 14
    .none, .none, .i(.psrlq), .i(.psrldq), .none, .none, .i(.psllq), .i(.pslldq),
    // group14MMX: Group 14 of MMX registers
    .none, .none, .i(.psrlq), .none, .none, .none, .i(.psllq), .none,
    // vexZero: VEX 0F 77
    .i(.vzeroupper), .i(.vzeroall), .none, .none, .none, .none, .none, .none,
    // vexGroup15: VEX 0F AE
    .none, .none, .i(.ldmxcsr, .md), .i(.stmxcsr, .md), .none, .none, .none, .none,
  ]
}
