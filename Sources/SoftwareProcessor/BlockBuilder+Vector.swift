import InstructionDecoder

// The records of SSE instructions.
extension BlockBuilder {
  /// Appends the record of an SSE instruction without a VEX prefix, if it has one of its own.
  mutating func lowerVector(_ instruction: Instruction) -> Bool {
    guard !instruction.prefixes.contains(.vex) else { return false }
    switch instruction.mnemonic {
    case .movaps, .movapd, .movdqa: return lowerVectorMove(instruction, alignmentMask: 15)
    case .movups, .movupd, .movdqu: return lowerVectorMove(instruction, alignmentMask: 0)
    case .movss: return lowerScalarMove(instruction, load: .scalarLoad4, store: .scalarStore4)
    case .movsd, .movq: return lowerScalarMove(instruction, load: .scalarLoad8, store: .scalarStore8)
    case .addsd, .mulsd, .subsd, .divsd: return lowerScalarDouble(instruction)
    case .pand, .pandn, .por, .pxor, .andps, .andnps, .orps, .xorps, .andpd, .andnpd, .orpd, .xorpd, .paddb,
      .paddw, .paddd, .paddq, .psubb, .psubw, .psubd, .psubq, .pcmpeqb, .pcmpeqw, .pcmpeqd, .pcmpgtb,
      .pcmpgtw, .pcmpgtd, .pmullw, .pmulld, .pmuludq, .pminub, .pmaxub, .punpcklbw, .punpcklwd, .punpckldq,
      .punpcklqdq, .punpckhqdq, .unpcklpd, .pshufb:
      return lowerVectorCombination(instruction)
    default: return false
    }
  }

  /// The form of two operands of which at least one is an XMM register, or nil.
  private func vectorForm(_ instruction: Instruction) -> BinaryForm? {
    switch (instruction.operand0.kind, instruction.operand1.kind) {
    case (.vector, .vector): .rr
    case (.vector, .memory): address(instruction) == nil ? nil : .rm
    case (.memory, .vector): address(instruction) == nil ? nil : .mr
    default: nil
    }
  }

  private mutating func lowerVectorMove(_ instruction: Instruction, alignmentMask: UInt8) -> Bool {
    guard let form = vectorForm(instruction) else { return false }
    var move = instruction
    move.condition = alignmentMask
    append(form == .rr ? .vectorMove : form == .rm ? .vectorLoad : .vectorStore, move, form)
    return true
  }

  private mutating func lowerScalarMove(
    _ instruction: Instruction, load: Operation, store: Operation
  ) -> Bool {
    guard let form = vectorForm(instruction), form != .rr else { return false }
    append(form == .rm ? load : store, instruction, form)
    return true
  }

  private mutating func lowerScalarDouble(_ instruction: Instruction) -> Bool {
    guard let form = vectorForm(instruction) else { return false }
    var arithmetic = instruction
    let number = (instruction.mnemonic.rawValue &- Mnemonic.addps.rawValue) / 4
    arithmetic.condition = UInt8(truncatingIfNeeded: number)
    append(form == .rr ? .scalarDoubleRR : .scalarDoubleRM, arithmetic, form)
    return true
  }

  private mutating func lowerVectorCombination(_ instruction: Instruction) -> Bool {
    guard instruction.operand0.kind == .vector, instruction.operand1.kind == .vector else { return false }
    append(.vectorCombine, carrying: instruction)
    let record = block.records + (recordCount &- 1)
    record.pointee.destination = instruction.operand0.register
    record.pointee.source = instruction.operand1.register
    return true
  }
}
