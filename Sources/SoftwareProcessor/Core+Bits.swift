import InstructionDecoder
import X86

// MARK: - Bit tests

extension Core {
  /// BT, BTS, BTR and BTC. A register's bit offset reaches memory beyond the operand; an immediate's does not.
  func executeBitTest(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let mask = size.bits &- 1
    let offset = try value(of: instruction.operand1, instruction)
    let writes = instruction.mnemonic != .bt
    var operand: Place
    if instruction.operand0.kind == .memory, instruction.operand1.kind != .immediate {
      operand = try bitStringPlace(instruction, bitOffset: size.extended(offset), size, writes: writes)
    } else {
      operand = try place(of: instruction.operand0, instruction, writes ? .write : .read)
    }
    let old = try value(at: operand)
    let bit: UInt64 = 1 &<< (offset & mask)
    switch instruction.mnemonic {
    case .bts: try set(operand, old | bit)
    case .btr: try set(operand, old & ~bit)
    case .btc: try set(operand, old ^ bit)
    default: break
    }
    flags.pointee.replace(StatusFlags.cf, with: old & bit != 0 ? StatusFlags.cf : 0)
  }

  /// The word of a bit string in memory that holds the bit at the signed `bitOffset`.
  private func bitStringPlace(
    _ instruction: borrowing Instruction, bitOffset: UInt64, _ size: OperandSize, writes: Bool
  ) throws(Interruption) -> Place {
    let words = Int64(bitPattern: bitOffset) &>> Int64(size.bits.trailingZeroBitCount)
    let start = offset(of: instruction) &+ UInt64(bitPattern: words) &* UInt64(size.bytes)
    let segment = instruction.address.segment
    let linear = try linearAddress(
      segment, OperandSize(instruction.addressSize).truncated(start), count: Int(size.bytes),
      access: writes ? .write : .read)
    if writes { try checkWrite(linear, count: Int(size.bytes), stack: segment == .ss) }
    return Place(kind: .memory, register: 0, size: size, isStack: segment == .ss, linear: linear)
  }
}

// MARK: - Bit counts

extension Core {
  /// BSF and BSR. Of a zero source they set ZF and leave the destination as it was.
  func executeBitScan(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    flags.pointee.replace(StatusFlags.zf, with: source == 0 ? StatusFlags.zf : 0)
    guard source != 0 else { return }
    let index = instruction.mnemonic == .bsf ? source.trailingZeroBitCount : 63 &- source.leadingZeroBitCount
    writeRegister(instruction.operand0.register, UInt64(truncatingIfNeeded: index), size)
  }

  /// TZCNT, LZCNT and POPCNT.
  func executeBitCount(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    let count: UInt64 =
      switch instruction.mnemonic {
      case .tzcnt: min(UInt64(source.trailingZeroBitCount), size.bits)
      case .lzcnt: UInt64(source.leadingZeroBitCount) &- (64 &- size.bits)
      default: UInt64(source.nonzeroBitCount)
      }
    writeRegister(instruction.operand0.register, count, size)
    let isPopulation = instruction.mnemonic == .popcnt
    let zero = (isPopulation ? source : count) == 0 ? StatusFlags.zf : 0
    let carry = !isPopulation && source == 0 ? StatusFlags.cf : 0
    flags.pointee.value = zero | carry
  }
}

// MARK: - Bit manipulation (BMI1 and BMI2)

extension Core {
  /// ANDN, BEXTR and BZHI.
  func executeBitField(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let first = try value(of: instruction.operand1, instruction)
    let second = try value(of: instruction.operand2, instruction)
    var carry: UInt64 = 0
    var result: UInt64
    switch instruction.mnemonic {
    case .andn: result = ~first & second
    case .bextr:
      let start = second & 0xFF
      let length = second &>> 8 & 0xFF
      result = start < size.bits ? first &>> start : 0
      if length < 64 { result &= (1 &<< length) &- 1 }
    default:
      let index = second & 0xFF
      result = index < size.bits ? first & ((1 &<< index) &- 1) : first
      carry = index < size.bits ? 0 : StatusFlags.cf
    }
    flags.pointee.set(result, size, bits: carry)
    writeRegister(instruction.operand0.register, size.truncated(result), size)
  }

  /// BLSI, BLSMSK and BLSR.
  func executeLowestBit(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    let result: UInt64 =
      switch instruction.mnemonic {
      case .blsi: source & (0 &- source)
      case .blsmsk: source ^ (source &- 1)
      default: source & (source &- 1)
      }
    let carry = (source != 0) == (instruction.mnemonic == .blsi)
    flags.pointee.set(result, size, bits: carry ? StatusFlags.cf : 0)
    writeRegister(instruction.operand0.register, size.truncated(result), size)
  }

  /// PDEP and PEXT.
  func executeBitGather(_ instruction: borrowing Instruction) throws(Interruption) {
    let size = OperandSize(instruction.operand0.size)
    let source = try value(of: instruction.operand1, instruction)
    var mask = try value(of: instruction.operand2, instruction)
    var result: UInt64 = 0
    var index: UInt64 = 0
    while mask != 0 {
      let lowest = mask & (0 &- mask)
      if instruction.mnemonic == .pdep {
        if source &>> index & 1 != 0 { result |= lowest }
      } else if source & lowest != 0 {
        result |= 1 &<< index
      }
      mask &= mask &- 1
      index &+= 1
    }
    writeRegister(instruction.operand0.register, result, size)
  }

  /// CRC32: the CRC-32C polynomial 11EDC6F41H, bit-reflected.
  func executeCRC32(_ instruction: borrowing Instruction) throws(Interruption) {
    let source = try value(of: instruction.operand1, instruction)
    var remainder = self[register: instruction.operand0.register] & 0xFFFF_FFFF
    for byte in 0..<UInt64(instruction.operand1.size) {
      remainder ^= source &>> (byte &* 8) & 0xFF
      for _ in 0..<8 {
        remainder = remainder &>> 1 ^ (remainder & 1 != 0 ? 0x82F6_3B78 : 0)
      }
    }
    self[register: instruction.operand0.register] = remainder
  }
}
