/// One row of an opcode map: an instruction with the forms of its operands, or the block of rows in which some other
/// part of the encoding selects.
struct OpcodeRow {
  var mnemonic: Mnemonic
  var form0: OperandForm
  var form1: OperandForm
  var form2: OperandForm
  var selector: Selector
  var block: ExtensionBlock
  var rules: Rules

  /// What selects among the rows of a block.
  enum Selector: UInt8 {
    /// Nothing: the row is an instruction.
    case instruction
    /// ModRM bits 5:3.
    case reg
    /// ModRM bits 2:0.
    case rm
    /// ModRM bits 7:6: memory (row 0) or register (row 1).
    case mod
    /// The mandatory prefix: none, 66H, F3H, F2H (rows 0 to 3).
    case prefix
    /// The opcode's bits 2:0, and ModRM, in the table of the x87 FPU.
    case x87
    /// 64-bit mode (row 1) or not (row 0).
    case mode
    /// REX.B.
    case rexB
    /// REX.W.
    case rexW
  }

  /// What else holds for a row: its superscripts in the SDM's opcode maps.
  struct Rules: OptionSet {
    let rawValue: UInt16

    /// i64: invalid in 64-bit mode.
    static let not64 = Rules(rawValue: 1 << 0)
    /// o64: valid in 64-bit mode only.
    static let only64 = Rules(rawValue: 1 << 1)
    /// d64: the operand size is 64 bits by default in 64-bit mode, and cannot be 32.
    static let default64 = Rules(rawValue: 1 << 2)
    /// f64: the operand size is 64 bits in 64-bit mode, whatever the prefixes.
    static let force64 = Rules(rawValue: 1 << 3)
    /// LOCK is allowed with a memory destination.
    static let lock = Rules(rawValue: 1 << 4)
    /// Works on bytes though its first operand's form does not say so.
    static let byte = Rules(rawValue: 1 << 5)
    /// The operand size is 32 bits at most.
    static let max32 = Rules(rawValue: 1 << 6)
    /// NP: 66H, F2H and F3H are not allowed.
    static let noPrefix = Rules(rawValue: 1 << 7)
    /// VEX.vvvv has no use and must be 1111B (VEX maps only).
    static let noV = Rules(rawValue: 1 << 8)
  }

  private init(
    _ mnemonic: Mnemonic, _ form0: OperandForm, _ form1: OperandForm, _ form2: OperandForm,
    _ selector: Selector, _ block: ExtensionBlock, _ rules: Rules
  ) {
    self.mnemonic = mnemonic
    self.form0 = form0
    self.form1 = form1
    self.form2 = form2
    self.selector = selector
    self.block = block
    self.rules = rules
  }

  /// An undefined opcode.
  static var none: OpcodeRow { OpcodeRow(.invalid, .none, .none, .none, .instruction, .none, []) }

  /// An instruction.
  static func i(
    _ mnemonic: Mnemonic, _ form0: OperandForm = .none, _ form1: OperandForm = .none,
    _ form2: OperandForm = .none, _ rules: Rules = []
  ) -> OpcodeRow {
    OpcodeRow(mnemonic, form0, form1, form2, .instruction, .none, rules)
  }

  /// An instruction without explicit operands.
  static func i(_ mnemonic: Mnemonic, _ rules: Rules) -> OpcodeRow {
    OpcodeRow(mnemonic, .none, .none, .none, .instruction, .none, rules)
  }

  /// An instruction with one operand.
  static func i(_ mnemonic: Mnemonic, _ form0: OperandForm, _ rules: Rules) -> OpcodeRow {
    OpcodeRow(mnemonic, form0, .none, .none, .instruction, .none, rules)
  }

  /// An instruction with two operands.
  static func i(
    _ mnemonic: Mnemonic, _ form0: OperandForm, _ form1: OperandForm, _ rules: Rules
  ) -> OpcodeRow {
    OpcodeRow(mnemonic, form0, form1, .none, .instruction, .none, rules)
  }

  /// A block of rows, whose instructions have these operands unless they name their own.
  static func by(
    _ selector: Selector, _ block: ExtensionBlock, _ form0: OperandForm = .none,
    _ form1: OperandForm = .none, _ rules: Rules = []
  ) -> OpcodeRow {
    OpcodeRow(.invalid, form0, form1, .none, selector, block, rules)
  }

  /// Whether a ModRM byte follows the opcode.
  var usesModRM: Bool {
    switch selector {
    case .reg, .rm, .mod, .x87: true
    case .instruction: form0.usesModRM || form1.usesModRM
    case .prefix, .mode, .rexB, .rexW: false
    }
  }
}
