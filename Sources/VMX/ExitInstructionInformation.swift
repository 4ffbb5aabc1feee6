import X86

/// The VM-exit instruction-information field.
///
/// The SDM has one table per group of instructions; where a group has a field, it is in the same place in all tables
/// but for those named below.
///
/// Source: SDM volume 3, "Information for VM Exits Due to Instruction Execution".
public struct ExitInstructionInformation: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// A memory operand at base + index × scale, each optional; `addressSize` in bytes is 2, 4 or 8.
  @inlinable
  public init(
    addressSize: UInt8, segment: SegmentRegister, base: GeneralRegister? = nil, index: GeneralRegister? = nil,
    scale: UInt8 = 1
  ) {
    rawValue =
      UInt32(truncatingIfNeeded: scale.trailingZeroBitCount & 3)
      | UInt32(truncatingIfNeeded: addressSize.trailingZeroBitCount &- 1) << 7 & 0x380
      | UInt32(segment.rawValue) << 15
    if let index { rawValue |= UInt32(index.rawValue) << 18 } else { rawValue |= 1 << 22 }
    if let base { rawValue |= UInt32(base.rawValue) << 23 } else { rawValue |= 1 << 27 }
  }

  /// A register operand in place of memory: VMREAD, VMWRITE, SLDT, STR, LLDT, LTR.
  @inlinable
  public init(register: GeneralRegister) {
    rawValue = UInt32(register.rawValue) << 3 | 1 << 10
  }

  /// The same operand, and as the second one `register`.
  @inlinable
  public func withSecondRegister(_ register: GeneralRegister) -> Self {
    Self(rawValue: rawValue & ~(0xF << 28) | UInt32(register.rawValue) << 28)
  }

  /// The scale of the index register: 1, 2, 4 or 8.
  @inlinable
  public var scale: UInt8 { 1 << UInt8(truncatingIfNeeded: rawValue & 3) }

  /// Bits 6:3, "Reg1": the register in place of memory, or the destination of RDRAND and RDSEED.
  @inlinable
  public var register: GeneralRegister { GeneralRegister(number: UInt64(rawValue >> 3)) }

  /// The address size in bytes: 2, 4 or 8.
  @inlinable
  public var addressSize: UInt8 {
    switch rawValue >> 7 & 7 {
    case 0: 2
    case 1: 4
    default: 8
    }
  }

  /// Whether the operand is a register, and not in memory.
  @inlinable
  public var isRegister: Bool { rawValue & 1 << 10 != 0 }

  /// LIDT, LGDT, SIDT, SGDT: whether the operand size is 32 bits (64-bit mode leaves this undefined).
  @inlinable
  public var isOperand32Bit: Bool { rawValue & 1 << 11 != 0 }

  /// RDRAND and RDSEED: the operand size in bytes.
  @inlinable
  public var destinationSize: UInt8 {
    switch rawValue >> 11 & 3 {
    case 0: 2
    case 1: 4
    default: 8
    }
  }

  /// The segment register of the memory operand.
  @inlinable
  public var segment: SegmentRegister {
    SegmentRegister(rawValue: UInt8(truncatingIfNeeded: rawValue >> 15) & 7) ?? .ds
  }

  /// The index register of the memory operand, if it has one.
  @inlinable
  public var index: GeneralRegister? {
    rawValue & 1 << 22 == 0 ? GeneralRegister(number: UInt64(rawValue >> 18)) : nil
  }

  /// The base register of the memory operand, if it has one.
  @inlinable
  public var base: GeneralRegister? {
    rawValue & 1 << 27 == 0 ? GeneralRegister(number: UInt64(rawValue >> 23)) : nil
  }

  /// Bits 31:28, "Reg2": the VMCS field's register of VMREAD and VMWRITE, the type's of INVEPT, INVVPID and INVPCID.
  @inlinable
  public var secondRegister: GeneralRegister { GeneralRegister(number: UInt64(rawValue >> 28)) }

  /// LIDT, LGDT, SIDT, SGDT, and LLDT, LTR, SLDT, STR: which of the four it is.
  @inlinable
  public var identity: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 28) & 3 }

  /// The same operand, of a descriptor-table instruction of `identity`, 0 to 3.
  @inlinable
  public func withIdentity(_ identity: UInt8, isOperand32Bit: Bool = false) -> Self {
    Self(rawValue: rawValue & ~(3 << 28) | UInt32(identity & 3) << 28 | (isOperand32Bit ? 1 << 11 : 0))
  }

  /// INS and OUTS: the address size in bytes and the segment, which INS leaves undefined.
  @inlinable
  public static func string(addressSize: UInt8, segment: SegmentRegister) -> Self {
    Self(
      rawValue: UInt32(truncatingIfNeeded: addressSize.trailingZeroBitCount &- 1) << 7 & 0x380
        | UInt32(segment.rawValue) << 15)
  }
}

/// Which instruction accessed GDTR or IDTR (exit reason 46).
public enum GDTROrIDTRInstruction: UInt8, Sendable {
  case sgdt, sidt, lgdt, lidt
}

/// Which instruction accessed LDTR or TR (exit reason 47).
public enum LDTROrTRInstruction: UInt8, Sendable {
  case sldt, str, lldt, ltr
}
