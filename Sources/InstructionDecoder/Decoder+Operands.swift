import X86

extension Decoder {
  /// Consumes the displacement and the immediates, and sets the operands.
  mutating func readOperands(_ row: OpcodeRow) throws(DecodeFailure) {
    instruction.address.segment = segmentOverride ?? .ds
    if row.form1 == .vsib {
      try readVectorAddress()
    } else if hasModRM, !isRegisterForm, row.form0 != .rn, row.form1 != .rn {
      try readAddress()
    }
    try append(row.form0)
    try append(row.form1)
    try append(row.form2)
    try append(row.form3)
    narrowGather()
  }

  /// Appends the operand of `form`, if this encoding has it.
  private mutating func append(_ form: OperandForm) throws(DecodeFailure) {
    switch form {
    case .none: return
    case .hx, .hdq: if !isVEX { return }
    case .hr: if !isVEX || !isRegisterForm { return }
    default: break
    }
    let operand = try operand(form)
    switch instruction.operandCount {
    case 0: instruction.operand0 = operand
    case 1: instruction.operand1 = operand
    case 2: instruction.operand2 = operand
    default: instruction.operand3 = operand
    }
    instruction.operandCount &+= 1
  }

  private var atMost4: UInt8 { min(instruction.operandSize, 4) }

  private mutating func operand(_ form: OperandForm) throws(DecodeFailure) -> Operand {
    let size = instruction.operandSize
    switch form {
    case .none: return Operand()
    case .al: return Operand(.general, size: 1, register: 0)
    case .rax: return Operand(.general, size: size, register: 0)
    case .cl: return Operand(.general, size: 1, register: 1)
    case .dx: return Operand(.general, size: 2, register: 2)
    case .ax: return Operand(.general, size: 2, register: 0)
    case .st0: return Operand(.x87, size: 10, register: 0)
    case .sti: return Operand(.x87, size: 10, register: rm)
    case .zb: return byteRegister(opcode & 7, extended: rexB)
    case .zv: return Operand(.general, size: size, register: opcode & 7 | rexB)
    case .opcodeSegment: return Operand(.segment, size: size, register: opcode >> 3 & 7)
    case .by: return Operand(.general, size: wide, register: vexRegister)
    case .one, .ib, .ibs, .iw, .iz, .iv, .ibSecond, .jb, .jz, .ap: return try immediate(form, size)
    case .ob: return try offsetInInstruction(size: 1)
    case .ov: return try offsetInInstruction(size: size)
    case .eb, .ew, .ev, .ey, .ez, .en, .evOrMw: return general(form, size)
    case .gb: return byteRegister(reg, extended: rexR)
    case .gv: return Operand(.general, size: size, register: reg | rexR)
    case .gy: return Operand(.general, size: wide, register: reg | rexR)
    case .gn: return Operand(.general, size: native, register: reg | rexR)
    case .gw: return Operand(.general, size: 2, register: reg | rexR)
    case .ga: return Operand(.general, size: instruction.addressSize, register: reg | rexR)
    case .m, .mb, .mw, .md, .mq, .m10, .mdq, .mv, .my, .ma, .mp, .ms, .mz: return try memory(form, size)
    case .rn: return Operand(.general, size: native, register: rm | rexB)
    case .rv: return try registerOnly(size)
    case .ry: return try registerOnly(wide)
    case .rd: return try registerOnly(4)
    case .ra: return try registerOnly(instruction.addressSize)
    case .sw, .cn, .dn: return try special(form)
    case .gd: return Operand(.general, size: 4, register: reg | rexR)
    case .ed, .edOrMb, .edOrMw: return general(form, size)
    case .vx, .vdq, .hx, .hdq, .hr, .wx, .wdq, .wq, .wd, .ww, .wb, .wy, .whalf, .wquarter, .weighth, .wdup,
      .ux, .mx, .lx, .vsib, .pq, .qq, .qd, .nq:
      return try vectorOperand(form)
    }
  }

  /// A byte register: without any REX or VEX prefix, numbers 4 to 7 are AH, CH, DH and BH.
  private func byteRegister(_ number: UInt8, extended: UInt8) -> Operand {
    if number >= 4, !instruction.prefixes.contains(.rex), !isVEX {
      return Operand(.highByte, size: 1, register: number &- 4)
    }
    return Operand(.general, size: 1, register: number | extended)
  }

  private func general(_ form: OperandForm, _ operandSize: UInt8) -> Operand {
    let size: UInt8 =
      switch form {
      case .eb: 1
      case .ew: 2
      case .ey: wide
      case .ez: atMost4
      case .en: native
      case .evOrMw: isRegisterForm ? operandSize : 2
      case .ed: 4
      case .edOrMb: isRegisterForm ? 4 : 1
      case .edOrMw: isRegisterForm ? 4 : 2
      // CRC32 of bytes aside, whose operand size is 1, this is the operand size.
      default: operandSize
      }
    guard isRegisterForm else { return Operand(.memory, size: size) }
    if form == .eb { return byteRegister(rm, extended: rexB) }
    return Operand(.general, size: size, register: rm | rexB)
  }

  private func registerOnly(_ size: UInt8) throws(DecodeFailure) -> Operand {
    guard isRegisterForm else { throw .invalid }
    return Operand(.general, size: size, register: rm | rexB)
  }

  private func memory(_ form: OperandForm, _ operandSize: UInt8) throws(DecodeFailure) -> Operand {
    guard !isRegisterForm else { throw .invalid }
    let size: UInt8 =
      switch form {
      case .mb: 1
      case .mw: 2
      case .md: 4
      case .mq: 8
      case .m10: 10
      case .mdq: 16
      case .mv: operandSize
      case .my: wide
      case .ma: operandSize &* 2
      case .mp: operandSize &+ 2
      case .ms: is64 ? 10 : 6
      case .mz: 64
      default: 0
      }
    return Operand(.memory, size: size)
  }

  /// Segment, control and debug registers, of which not all numbers exist.
  private func special(_ form: OperandForm) throws(DecodeFailure) -> Operand {
    let number = reg | rexR
    switch form {
    case .sw:
      // REX.R is ignored; CS cannot be loaded.
      guard reg < 6, instruction.mnemonic == .movFromSegment || reg != SegmentRegister.cs.rawValue
      else { throw .invalid }
      return Operand(.segment, size: 2, register: reg)
    case .cn:
      guard number == 0 || (2...4).contains(number) || number == 8 else { throw .invalid }
      return Operand(.control, size: native, register: number)
    default:
      guard number < 8 else { throw .invalid }
      return Operand(.debug, size: native, register: number)
    }
  }

  private mutating func immediate(_ form: OperandForm, _ size: UInt8) throws(DecodeFailure) -> Operand {
    switch form {
    case .one: instruction.immediate = 1
    case .ib: instruction.immediate = try cursor.unsigned(1)
    case .ibs, .jb: instruction.immediate = UInt64(bitPattern: try cursor.signed(1))
    case .iw: instruction.immediate = try cursor.unsigned(2)
    case .iz, .jz: instruction.immediate = UInt64(bitPattern: try cursor.signed(atMost4))
    case .iv: instruction.immediate = UInt64(bitPattern: try cursor.signed(size))
    case .ap:
      instruction.immediate = try cursor.unsigned(size)
      instruction.immediate2 = UInt16(truncatingIfNeeded: try cursor.unsigned(2))
      return Operand(.farPointer, size: size)
    default:
      instruction.immediate2 = UInt16(truncatingIfNeeded: try cursor.unsigned(1))
      return Operand(.immediate, size: 1)
    }
    let isRelative = form == .jb || form == .jz
    return Operand(isRelative ? .relative : .immediate, size: size)
  }
}
