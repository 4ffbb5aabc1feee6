import InstructionDecoder
import X86

// MMX, SSE and AVX.
//
// Source: SDM volume 1, "Programming with Intel MMX Technology" to "Programming with AVX, FMA, and Intel AVX2"; volume 2
// at each instruction.
extension Core {
  /// Executes an instruction of MMX, SSE or AVX.
  func executeVector(_ instruction: Instruction) throws(Interruption) {
    let usesMMX =
      instruction.operand0.kind == .mmx || instruction.operand1.kind == .mmx || instruction.mnemonic == .emms
    try requireVectors(instruction, usesMMX: usesMMX)
    switch instruction.mnemonic {
    case .pand, .pandn, .por, .pxor, .andps, .andnps, .orps, .xorps, .andpd, .andnpd, .orpd, .xorpd, .paddb,
      .paddw, .paddd, .paddq, .psubb, .psubw, .psubd, .psubq, .paddsb, .paddsw, .paddusb, .paddusw, .psubsb,
      .psubsw, .psubusb, .psubusw, .pavgb, .pavgw, .pmullw, .pmulhw, .pmulhuw, .pmulhrsw, .pmulld, .pmuludq,
      .pmuldq, .pmaddwd, .pmaddubsw, .psadbw, .psignb, .psignw, .psignd, .pminub, .pminuw, .pminud, .pminsb,
      .pminsw, .pminsd, .pmaxub, .pmaxuw, .pmaxud, .pmaxsb, .pmaxsw, .pmaxsd, .pcmpeqb, .pcmpeqw, .pcmpeqd,
      .pcmpeqq, .pcmpgtb, .pcmpgtw, .pcmpgtd, .pcmpgtq, .packsswb, .packssdw, .packuswb, .packusdw,
      .punpcklbw, .punpcklwd, .punpckldq, .punpcklqdq, .punpckhbw, .punpckhwd, .punpckhdq, .punpckhqdq,
      .unpcklps, .unpcklpd, .unpckhps, .unpckhpd, .pshufb, .phaddw, .phaddd, .phaddsw, .phsubw, .phsubd,
      .phsubsw:
      try executeCombination(instruction)
    case .shufps, .shufpd, .palignr, .mpsadbw, .pblendw, .blendps, .blendpd, .vpblendd:
      let second = try secondSource(instruction)
      let result = firstSource(instruction)
        .arranged(instruction.mnemonic, second, instruction.immediate, lane: instruction.laneSize)
      try setVector(instruction.operand0, instruction, result)
    case .pblendvb, .blendvps, .blendvpd: try executeVariableBlend(instruction)
    case .pabsb, .pabsw, .pabsd, .phminposuw, .pshufw, .pshufd, .pshuflw, .pshufhw, .pmovsxbw, .pmovsxbd,
      .pmovsxbq, .pmovsxwd, .pmovsxwq, .pmovsxdq, .pmovzxbw, .pmovzxbd, .pmovzxbq, .pmovzxwd, .pmovzxwq,
      .pmovzxdq:
      try executeSingleSource(instruction)
    case .psllw, .pslld, .psllq, .psrlw, .psrld, .psrlq, .psraw, .psrad, .pslldq, .psrldq:
      try executeVectorShift(instruction)
    case .vpsllv, .vpsrlv, .vpsravd:
      let counts = try secondSource(instruction)
      let result = firstSource(instruction)
        .shifted(instruction.mnemonic, byEach: counts, size: instruction.operandSize)
      try setVector(instruction.operand0, instruction, result)
    default: try executeVectorTransfer(instruction)
    }
    if usesMMX { enterMMX(isEmpty: instruction.mnemonic == .emms) }
  }

  private func executeVectorTransfer(_ instruction: Instruction) throws(Interruption) {
    switch instruction.mnemonic {
    case .movd, .movq, .movdqa, .movdqu, .lddqu, .movntdqa, .movntdq, .movntq, .movntps, .movntpd, .movaps,
      .movapd, .movups, .movupd, .movss, .movsd, .movlps, .movlpd, .movhps, .movhpd, .movhlps, .movlhps,
      .movsldup, .movshdup, .movddup, .movdq2q, .movq2dq, .maskmovq, .maskmovdqu, .movmskps, .movmskpd,
      .pmovmskb:
      try executeVectorMove(instruction)
    case .pinsrb, .pinsrw, .pinsrd, .insertps, .pextrb, .pextrw, .pextrd, .extractps, .ptest, .vtestps,
      .vtestpd:
      try executeElement(instruction)
    case .aesenc, .aesenclast, .aesdec, .aesdeclast, .aesimc, .aeskeygenassist, .pclmulqdq:
      try executeCryptography(instruction)
    case .pcmpestrm, .pcmpestri, .pcmpistrm, .pcmpistri: try executeStringComparison(instruction)
    case .emms: break
    case _ where instruction.mnemonic.rawValue < Mnemonic.vbroadcastss.rawValue:
      try executeFloating(instruction)
    default: try executeAVX(instruction)
    }
  }
}

// MARK: - What must hold

extension Core {
  /// Raises #UD, #NM and #MF as they are due.
  ///
  /// Source: SDM volume 3, "Emulation of SSE/SSE2/SSE3", "Providing Support for AVX", "Exception Conditions of Legacy
  /// SIMD Instructions Operating on MMX Registers" in "Interaction of …"; volume 2, "Exceptions Type 1" to "Type 14".
  @inline(__always)
  func requireVectors(_ instruction: Instruction, usesMMX: Bool) throws(Interruption) {
    if instruction.prefixes.contains(.vex) {
      guard cpu.pointee.cr4 & CR4.osxsave.rawValue != 0, cpu.pointee.xcr0 & 6 == 6 else {
        throw raise(.invalidOpcode)
      }
    } else {
      guard cpu.pointee.cr0 & CR0.em.rawValue == 0 else { throw raise(.invalidOpcode) }
      let usesXMM =
        instruction.operand0.kind == .vector || instruction.operand1.kind == .vector
      guard !usesXMM || cpu.pointee.cr4 & CR4.osfxsr.rawValue != 0 else { throw raise(.invalidOpcode) }
    }
    guard cpu.pointee.cr0 & CR0.ts.rawValue == 0 else { throw raise(.deviceNotAvailable) }
    if usesMMX { try checkX87Error() }
  }

  /// What every MMX instruction does to the x87 FPU: all of its registers are valid, or after EMMS empty.
  ///
  /// Source: SDM volume 3, "Effect of MMX, x87 FPU, FXSAVE, and FXRSTOR Instructions on the x87 FPU Tag Word".
  @inline(__always)
  func enterMMX(isEmpty: Bool) {
    x87.top = 0
    extendedState.pointee.tags = isEmpty ? 0 : 0xFF
  }
}

// MARK: - Integers

extension Core {
  private func executeCombination(_ instruction: Instruction) throws(Interruption) {
    let second = try secondSource(instruction)
    let first = firstSource(instruction)
    let result =
      first.combined(instruction.mnemonic, second)
      ?? first.arranged(instruction.mnemonic, second, lane: instruction.laneSize)
    try setVector(instruction.operand0, instruction, result)
  }

  /// The mask is XMM0, or with a VEX prefix the fourth operand.
  private func executeVariableBlend(_ instruction: Instruction) throws(Interruption) {
    let second = try secondSource(instruction)
    let isVEX = instruction.prefixes.contains(.vex)
    let mask = self[vector: isVEX ? instruction.operand3.register : 0]
    let result = firstSource(instruction).blended(instruction.mnemonic, second, by: mask)
    try setVector(instruction.operand0, instruction, result)
  }

  private func executeSingleSource(_ instruction: Instruction) throws(Interruption) {
    let source = try vector(instruction.operand1, instruction)
    let result: Vector
    switch instruction.mnemonic {
    case .pabsb, .pabsw, .pabsd: result = source.absolute(instruction.mnemonic)
    case .phminposuw: result = source.smallestWord
    case .pshufw, .pshufd, .pshuflw, .pshufhw:
      result = source.shuffled(instruction.mnemonic, instruction.immediate)
    default: result = source.extended(instruction.mnemonic)
    }
    try setVector(instruction.operand0, instruction, result)
  }

  /// The count is an immediate, or the low 64 bits of a register or memory.
  private func executeVectorShift(_ instruction: Instruction) throws(Interruption) {
    let isVEX = instruction.prefixes.contains(.vex)
    let last = isVEX ? instruction.operand2 : instruction.operand1
    if last.kind == .immediate {
      let source = isVEX ? instruction.operand1 : instruction.operand0
      let value = try vector(source, instruction).shifted(instruction.mnemonic, by: instruction.immediate)
      return try setVector(instruction.operand0, instruction, value)
    }
    let count = try vector(last, instruction).quads[0]
    let value = firstSource(instruction).shifted(instruction.mnemonic, by: count)
    try setVector(instruction.operand0, instruction, value)
  }
}
