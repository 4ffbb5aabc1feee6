import X86

/// A decoded instruction: what the bytes mean, before anything is executed. A trivial value.
public struct Instruction: Sendable {
  /// The operation, without its condition.
  public var mnemonic: Mnemonic = .invalid
  /// The length in bytes, 1 to 15.
  public var length: UInt8 = 0
  /// The effective operand size in bytes: 1, 2, 4 or 8.
  public var operandSize: UInt8 = 0
  /// The effective address size in bytes: 2, 4 or 8.
  public var addressSize: UInt8 = 0
  /// The condition of Jcc, SETcc and CMOVcc: bits 3:0 of the opcode (SDM volume 2, "Encoding of Conditional Test"). Of
  /// the fused multiply-add instructions, the order of the operands: 1, 2, 3 for 132, 213, 231.
  public var condition: UInt8 = 0
  /// LOCK, REP and REPNE, and whether a REX prefix or a segment override was there.
  public var prefixes: Prefixes = []
  /// How many of the operands are used, in Intel order, destination first. Operands that an instruction never
  /// names (those of string instructions, MUL's accumulator) are not among them.
  public var operandCount: UInt8 = 0
  public var operand0 = Operand()
  public var operand1 = Operand()
  public var operand2 = Operand()
  public var operand3 = Operand()
  /// The memory operand's address, if one of the operands is `.memory`; for instructions that address memory
  /// without naming it (strings, XLAT, MONITOR), only its segment.
  public var address = MemoryAddress()
  /// The immediate, sign- or zero-extended as the instruction uses it; the relative displacement of a branch; the
  /// offset of a far pointer. Of an x87 instruction, its 11-bit opcode as the FPU's last opcode register has it.
  public var immediate: UInt64 = 0
  /// ENTER's nesting level, or the selector of a far pointer.
  public var immediate2: UInt16 = 0

  public init() {}
}

/// One operand.
public struct Operand: Equatable, Sendable {
  public var kind: Kind = .none
  /// The size of the operand in bytes (0 for an address only, as in LEA and INVLPG). A pseudo-descriptor has 10 in
  /// 64-bit mode, else 6; a far pointer in memory the operand size and 2.
  public var size: UInt8 = 0
  /// The register number (for `.general`, `.segment`, …); 0...3 = AH, CH, DH, BH for `.highByte`.
  public var register: UInt8 = 0

  public init() {}

  public init(_ kind: Kind, size: UInt8, register: UInt8 = 0) {
    self.kind = kind
    self.size = size
    self.register = register
  }

  public enum Kind: UInt8, Sendable {
    case none
    case general
    case highByte
    case segment
    case control
    case debug
    case memory
    /// ST(`register`).
    case x87
    /// MM`register`.
    case mmx
    /// XMM`register`, or YMM`register` where the instruction is one of 256 bits. The size may be that of an element.
    case vector
    case immediate
    /// A branch target relative to the next instruction.
    case relative
    /// A far pointer: selector in `immediate2`, offset in `immediate`.
    case farPointer
  }
}

/// The address of a memory operand.
public struct MemoryAddress: Equatable, Sendable {
  public var segment: SegmentRegister = .ds
  /// The base register's number, or ``none``, or ``instructionPointer`` (relative to the next instruction).
  public var base: UInt8 = MemoryAddress.none
  /// The index register's number, or ``none``. Of the gathers it is a vector register.
  public var index: UInt8 = MemoryAddress.none
  /// The index's scale: 1, 2, 4 or 8.
  public var scale: UInt8 = 1
  /// The displacement, sign-extended (for a moffs, the whole offset, zero-extended).
  public var displacement: Int64 = 0

  public static let none: UInt8 = 0xFF
  public static let instructionPointer: UInt8 = 0xFE

  public init() {}
}

/// The prefixes that change what an instruction does.
public struct Prefixes: OptionSet, Sendable {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let lock = Prefixes(rawValue: 1 << 0)
  /// F3H, the last of the repeat prefixes, and not used up as a mandatory prefix.
  public static let rep = Prefixes(rawValue: 1 << 1)
  /// F2H, likewise.
  public static let repne = Prefixes(rawValue: 1 << 2)
  public static let rex = Prefixes(rawValue: 1 << 3)
  /// A segment override that counts: in 64-bit mode, only FS and GS.
  public static let segmentOverride = Prefixes(rawValue: 1 << 4)
  /// A VEX prefix.
  public static let vex = Prefixes(rawValue: 1 << 5)
  /// VEX.L for 256 bits, where the instruction does not ignore it.
  public static let vex256 = Prefixes(rawValue: 1 << 6)
}
