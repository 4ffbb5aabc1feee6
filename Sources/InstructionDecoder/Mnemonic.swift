/// The operation of an instruction, without its operand size, condition or repeat prefix: MOVSB, MOVSW, MOVSD and
/// MOVSQ are all ``movs``, the Jcc are all ``jcc``, SAL is ``shl``, CBW, CWDE and CDQE are ``cbw``.
///
/// Where two encodings of one SDM mnemonic are different operations (near and far, MOV of a segment, control or
/// debug register), each has its own case.
///
/// Source: SDM volume 2, "Instruction Set Reference".
public enum Mnemonic: UInt16, CaseIterable, Sendable {
  /// No instruction. A successful decode never yields it.
  case invalid = 0

  // Data movement.
  case mov, movToSegment, movFromSegment, movToControl, movFromControl, movToDebug, movFromDebug
  case movzx, movsx, movsxd, movbe, movnti, movdiri, movdir64b, cmovcc, xchg, bswap, lea, xlat
  case push, pop, pushSegment, popSegment, pusha, popa, pushf, popf, enter, leave
  case les, lds, lss, lfs, lgs, lahf, sahf

  // Arithmetic and logic; the first eight in the order of the opcode's bits 5:3.
  case add, or, adc, sbb, and, sub, xor, cmp
  case test, inc, dec, not, neg, mul, imul, div, idiv, xadd, cmpxchg, cmpxchg8b, cmpxchg16b
  case adcx, adox, crc32, cbw, cwd
  case daa, das, aaa, aas, aam, aad, salc

  // Shifts and rotates; the first eight in the order of ModRM's bits 5:3 (``sal`` is /6, which acts like ``shl``).
  case rol, ror, rcl, rcr, shl, shr, sal, sar
  case shld, shrd

  // Bits.
  case bt, bts, btr, btc, bsf, bsr, tzcnt, lzcnt, popcnt
  case andn, bextr, blsi, blsmsk, blsr, bzhi, pdep, pext, rorx, sarx, shlx, shrx, mulx

  // Strings and ports.
  case movs, cmps, stos, lods, scas, ins, outs
  case `in`, out

  // Control transfer.
  case jcc, jcxz, loop, loope, loopne
  case jmp, jmpFar, call, callFar, ret, retFar, iret
  case int, int1, int3, into, bound
  case syscall, sysret, sysenter, sysexit
  case ud0, ud1, ud2

  // Flags.
  case clc, stc, cmc, cld, std, cli, sti, clac, stac, setcc

  // No operation, and hints that are none: multi-byte NOP, PREFETCHh, PREFETCHW, ENDBR32, ENDBR64, CLDEMOTE.
  case nop, pause
  case lfence, mfence, sfence, serialize, clflush, clflushopt, clwb

  // Protection and system.
  case arpl, lar, lsl, verr, verw
  case lgdt, sgdt, lidt, sidt, lldt, sldt, ltr, str, lmsw, smsw, clts
  case invlpg, invpcid, invd, wbinvd, wbnoinvd
  case rdmsr, wrmsr, rdtsc, rdtscp, rdpmc, rdpid, rdrand, rdseed, cpuid
  case swapgs, rdfsbase, rdgsbase, wrfsbase, wrgsbase, xgetbv, xsetbv, rdpkru, wrpkru
  case monitor, mwait, umonitor, umwait, tpause, hlt, fwait

  // Extended state.
  case fxsave, fxrstor, ldmxcsr, stmxcsr
  case xsave, xrstor, xsaveopt, xsavec, xsaves, xrstors

  // x87: movement.
  case fld, fild, fbld, fst, fstp, fist, fistp, fisttp, fbstp, fxch, fcmovcc, ffree, ffreep
  case fld1, fldl2t, fldl2e, fldpi, fldlg2, fldln2, fldz
  // x87: arithmetic and comparison, of reals; the same with a pop; and with an integer.
  case fadd, fmul, fcom, fcomp, fsub, fsubr, fdiv, fdivr
  case faddp, fmulp, fcompp, fsubp, fsubrp, fdivp, fdivrp
  case fiadd, fimul, ficom, ficomp, fisub, fisubr, fidiv, fidivr
  case fucom, fucomp, fucompp, fcomi, fcomip, fucomi, fucomip, ftst, fxam
  // x87: functions of the top of the stack.
  case fchs, fabs, fsqrt, frndint, fscale, fxtract, fprem, fprem1
  case f2xm1, fyl2x, fyl2xp1, fptan, fpatan, fsin, fcos, fsincos
  // x87: control; from ``fninit`` on those that do not wait for a pending exception.
  case fnop, fincstp, fdecstp, fldcw, fldenv, frstor
  case fninit
  /// FENI, FDISI and FSETPM of the 8087 and 80287, which do nothing.
  case fnobsolete
  case fnclex, fnstcw, fnstsw, fnstenv, fnsave

  // VMX.
  case vmxon, vmxoff, vmclear, vmptrld, vmptrst, vmread, vmwrite, vmlaunch, vmresume
  case vmcall, vmfunc, invept, invvpid

  // MMX, SSE and AVX, whose VEX form has the same name without the V. Movement.
  case movd, movq, movdqa, movdqu, lddqu, movntdqa, movntdq, movntq, movntps, movntpd
  case movaps, movapd, movups, movupd, movss, movsd, movlps, movlpd, movhps, movhpd, movhlps, movlhps
  case movsldup, movshdup, movddup, movdq2q, movq2dq, maskmovq, maskmovdqu, movmskps, movmskpd, pmovmskb
  // Integers: two vectors to one.
  case pand, pandn, por, pxor, andps, andnps, orps, xorps, andpd, andnpd, orpd, xorpd
  case paddb, paddw, paddd, paddq, psubb, psubw, psubd, psubq, paddsb, paddsw, paddusb, paddusw
  case psubsb, psubsw, psubusb, psubusw, pavgb, pavgw, pmullw, pmulhw, pmulhuw, pmulhrsw, pmulld
  case pmuludq, pmuldq, pmaddwd, pmaddubsw, psadbw, psignb, psignw, psignd
  case pminub, pminuw, pminud, pminsb, pminsw, pminsd, pmaxub, pmaxuw, pmaxud, pmaxsb, pmaxsw, pmaxsd
  case pcmpeqb, pcmpeqw, pcmpeqd, pcmpeqq, pcmpgtb, pcmpgtw, pcmpgtd, pcmpgtq
  case packsswb, packssdw, packuswb, packusdw, punpcklbw, punpcklwd, punpckldq, punpcklqdq
  case punpckhbw, punpckhwd, punpckhdq, punpckhqdq, unpcklps, unpcklpd, unpckhps, unpckhpd
  case pshufb, phaddw, phaddd, phaddsw, phsubw, phsubd, phsubsw
  // The same with an immediate or a mask.
  case shufps, shufpd, palignr, mpsadbw, pblendw, blendps, blendpd, vpblendd
  case pblendvb, blendvps, blendvpd
  // One vector to one.
  case pabsb, pabsw, pabsd, phminposuw, pshufw, pshufd, pshuflw, pshufhw
  case pmovsxbw, pmovsxbd, pmovsxbq, pmovsxwd, pmovsxwq, pmovsxdq
  case pmovzxbw, pmovzxbd, pmovzxbq, pmovzxwd, pmovzxwq, pmovzxdq
  // Shifts by one count, and by one for each element.
  case psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad, pslldq, psrldq
  case vpsllv, vpsrlv, vpsravd
  // Elements, tests and strings.
  case pinsrb, pinsrw, pinsrd, insertps, pextrb, pextrw, pextrd, extractps, ptest
  case pcmpestrm, pcmpestri, pcmpistrm, pcmpistri
  case aesenc, aesenclast, aesdec, aesdeclast, aesimc, aeskeygenassist, pclmulqdq
  // Floating point: arithmetic.
  case addps, addpd, addss, addsd, mulps, mulpd, mulss, mulsd, subps, subpd, subss, subsd
  case divps, divpd, divss, divsd, minps, minpd, minss, minsd, maxps, maxpd, maxss, maxsd
  case sqrtps, sqrtpd, sqrtss, sqrtsd, rcpps, rcpss, rsqrtps, rsqrtss
  case cmpps, cmppd, cmpss, cmpsd, comiss, comisd, ucomiss, ucomisd
  case haddps, haddpd, hsubps, hsubpd, addsubps, addsubpd, dpps, dppd
  case roundps, roundpd, roundss, roundsd
  // The fused ones: the order of the operands is in `condition`, the size of the elements in `operandSize`.
  case vfmadd, vfmaddScalar, vfmsub, vfmsubScalar, vfnmadd, vfnmaddScalar, vfnmsub, vfnmsubScalar
  case vfmaddsub, vfmsubadd
  // Floating point: conversion.
  case cvtpi2ps, cvtpi2pd, cvtsi2ss, cvtsi2sd, cvttps2pi, cvttpd2pi, cvtps2pi, cvtpd2pi
  case cvttss2si, cvttsd2si, cvtss2si, cvtsd2si, cvtps2pd, cvtpd2ps, cvtss2sd, cvtsd2ss
  case cvtdq2ps, cvtps2dq, cvttps2dq, cvtdq2pd, cvtpd2dq, cvttpd2dq, vcvtph2ps, vcvtps2ph
  // AVX only. Where the elements have 4 or 8 bytes, `operandSize` says which.
  case vbroadcastss, vbroadcastsd, vbroadcastf128, vpbroadcastb, vpbroadcastw, vpbroadcastd, vpbroadcastq
  case vbroadcasti128, vinsertf128, vinserti128, vextractf128, vextracti128, vperm2f128, vperm2i128
  case vpermilps, vpermilpd, vpermps, vpermpd, vpermd, vpermq, vtestps, vtestpd
  case vmaskmovps, vmaskmovpd, vpmaskmov, vgatherdp, vgatherqp, vpgatherd, vpgatherq
  case emms, vzeroupper, vzeroall
}

extension Mnemonic {
  /// Whether it is an instruction of the x87 FPU: one whose opcode is D8H to DFH.
  public var isX87: Bool { rawValue >= Mnemonic.fld.rawValue && rawValue <= Mnemonic.fnsave.rawValue }

  /// Whether it is an instruction of MMX, SSE or AVX, but for those that move the state.
  public var isVector: Bool { rawValue >= Mnemonic.movd.rawValue }

  /// Whether it is a fused multiplication and addition.
  public var isFused: Bool {
    rawValue >= Mnemonic.vfmadd.rawValue && rawValue <= Mnemonic.vfmsubadd.rawValue
  }

  /// Whether it is an x87 instruction that does not look for pending x87 exceptions first.
  public var isX87WithoutWaiting: Bool {
    rawValue >= Mnemonic.fninit.rawValue && rawValue <= Mnemonic.fnsave.rawValue
  }
}
