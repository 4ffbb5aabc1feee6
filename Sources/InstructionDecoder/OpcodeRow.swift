/// One row of an opcode map: an instruction with the forms of its operands, or the block of rows in which some other
/// part of the encoding selects.
struct OpcodeRow {
  var mnemonic: Mnemonic
  var form0: OperandForm
  var form1: OperandForm
  var form2: OperandForm
  var form3 = OperandForm.none
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
    /// VEX.L.
    case vexL
  }

  /// What else holds for a row: its superscripts in the SDM's opcode maps.
  struct Rules: OptionSet {
    let rawValue: UInt32

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
    /// Of MMX, SSE or AVX: VEX.L may be 1, and VEX.vvvv is checked by the operands.
    static let vector = Rules(rawValue: 1 << 9)
    /// VEX.L must be 0, must be 1, is ignored.
    static let l0 = Rules(rawValue: 1 << 10)
    static let l1 = Rules(rawValue: 1 << 11)
    static let lig = Rules(rawValue: 1 << 12)
    /// VEX.W must be 0, must be 1.
    static let w0 = Rules(rawValue: 1 << 13)
    static let w1 = Rules(rawValue: 1 << 14)
    /// VEX.W, in every mode, selects operands or elements of 4 or 8 bytes.
    static let byW = Rules(rawValue: 1 << 15)
    /// There is no such encoding with a VEX prefix, or without one.
    static let noVEX = Rules(rawValue: 1 << 16)
    static let onlyVEX = Rules(rawValue: 1 << 17)
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

  /// An instruction of MMX, SSE or AVX, or a block of them.
  static func vector(
    _ mnemonic: Mnemonic, _ form0: OperandForm, _ form1: OperandForm, _ form2: OperandForm,
    _ form3: OperandForm, _ selector: Selector, _ block: ExtensionBlock, _ rules: Rules
  ) -> OpcodeRow {
    var row = OpcodeRow(mnemonic, form0, form1, form2, selector, block, rules.union(.vector))
    row.form3 = form3
    return row
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

  /// Whether no instruction is here.
  var isUndefined: Bool { mnemonic == .invalid && selector == .instruction }

  /// Whether VEX.vvvv names an operand, if r/m is a register or not.
  func usesV(isRegisterForm: Bool) -> Bool {
    for form in [form0, form1, form2] {
      switch form {
      case .hx, .hdq, .by: return true
      case .hr: return isRegisterForm
      default: continue
      }
    }
    return false
  }

  /// Whether a ModRM byte follows the opcode.
  var usesModRM: Bool {
    switch selector {
    case .reg, .rm, .mod, .x87: true
    case .instruction: form0.usesModRM || form1.usesModRM
    case .prefix, .mode, .rexB, .rexW, .vexL: false
    }
  }
}
