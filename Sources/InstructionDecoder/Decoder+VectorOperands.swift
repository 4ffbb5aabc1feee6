extension Decoder {
  /// The operand of a form that names a vector or MMX register, or the memory in the place of one.
  mutating func vectorOperand(_ form: OperandForm) throws(DecodeFailure) -> Operand {
    switch form {
    case .vx, .vdq: return Operand(.vector, size: vectorOperandSize(form), register: reg | rexR)
    case .hx, .hdq, .hr: return Operand(.vector, size: vectorOperandSize(form), register: vexRegister)
    case .pq: return Operand(.mmx, size: 8, register: reg)
    case .qq, .qd, .nq:
      if isRegisterForm { return Operand(.mmx, size: 8, register: rm) }
      guard form != .nq else { throw .invalid }
      return Operand(.memory, size: form == .qd ? 4 : 8)
    case .ux:
      guard isRegisterForm else { throw .invalid }
      return Operand(.vector, size: vectorSize, register: rm | rexB)
    case .mx, .vsib:
      guard !isRegisterForm else { throw .invalid }
      return Operand(.memory, size: form == .vsib ? instruction.operandSize : vectorSize)
    case .lx:
      instruction.immediate = try cursor.unsigned(1)
      let register = UInt8(truncatingIfNeeded: instruction.immediate >> 4) & (is64 ? 15 : 7)
      return Operand(.vector, size: vectorSize, register: register)
    default:
      let size = vectorOperandSize(form)
      return isRegisterForm
        ? Operand(.vector, size: size, register: rm | rexB) : Operand(.memory, size: size)
    }
  }

  /// 16, or 32 with VEX.L.
  var vectorSize: UInt8 { instruction.prefixes.contains(.vex256) ? 32 : 16 }

  private func vectorOperandSize(_ form: OperandForm) -> UInt8 {
    switch form {
    case .vdq, .hdq, .hr, .wdq: 16
    case .wq: 8
    case .wd: 4
    case .ww: 2
    case .wb: 1
    case .wy: instruction.operandSize
    case .whalf: vectorSize / 2
    case .wquarter: vectorSize / 4
    case .weighth: vectorSize / 8
    case .wdup: vectorSize == 32 ? 32 : 8
    default: vectorSize
    }
  }

  /// A gather of 4 bytes by indices of 8 has a destination and a mask of half the width.
  mutating func narrowGather() {
    guard instruction.mnemonic == .vgatherqp || instruction.mnemonic == .vpgatherq,
      instruction.operandSize == 4
    else { return }
    instruction.operand0.size = 16
    instruction.operand2.size = 16
  }

  /// A gather addresses memory by a vector of indices, so that there is a SIB byte, whose index field is always a
  /// register.
  ///
  /// Source: SDM volume 2, "Vector SIB (VSIB) Memory Addressing".
  mutating func readVectorAddress() throws(DecodeFailure) {
    guard !isRegisterForm, rm == 4, instruction.addressSize != 2 else { throw .invalid }
    let sib = try cursor.peek()
    try readAddress()
    instruction.address.index = sib >> 3 & 7 | rexX
    instruction.address.scale = 1 << (sib >> 6)
  }
}
