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
  case daa, das, aaa, aas, aam, aad

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
  case monitor, mwait, hlt, fwait

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
}

extension Mnemonic {
  /// Whether it is an instruction of the x87 FPU: one whose opcode is D8H to DFH.
  public var isX87: Bool { rawValue >= Mnemonic.fld.rawValue && rawValue <= Mnemonic.fnsave.rawValue }

  /// Whether it is an x87 instruction that does not look for pending x87 exceptions first.
  public var isX87WithoutWaiting: Bool {
    rawValue >= Mnemonic.fninit.rawValue && rawValue <= Mnemonic.fnsave.rawValue
  }
}
