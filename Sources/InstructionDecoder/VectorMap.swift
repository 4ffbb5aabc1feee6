/// One row of ``VectorMap``: where it is, and what is there.
struct VectorRow {
  /// The mandatory prefix: none, 66H, F3H, F2H (0 to 3).
  var prefix: UInt8
  var opcode: UInt8
  var row: OpcodeRow

  private init(
    _ prefix: UInt8, _ opcode: UInt8, _ mnemonic: Mnemonic, _ forms: [OperandForm],
    _ selector: OpcodeRow.Selector = .instruction, _ block: ExtensionBlock = .none, rules: OpcodeRow.Rules
  ) {
    self.prefix = prefix
    self.opcode = opcode
    row = .vector(mnemonic, forms[0], forms[1], forms[2], forms[3], selector, block, rules)
  }

  static func np(
    _ opcode: UInt8, _ mnemonic: Mnemonic, _ form0: OperandForm = .none, _ form1: OperandForm = .none,
    _ form2: OperandForm = .none, _ form3: OperandForm = .none, rules: OpcodeRow.Rules = []
  ) -> VectorRow {
    VectorRow(0, opcode, mnemonic, [form0, form1, form2, form3], rules: rules)
  }

  static func p66(
    _ opcode: UInt8, _ mnemonic: Mnemonic, _ form0: OperandForm = .none, _ form1: OperandForm = .none,
    _ form2: OperandForm = .none, _ form3: OperandForm = .none, rules: OpcodeRow.Rules = []
  ) -> VectorRow {
    VectorRow(1, opcode, mnemonic, [form0, form1, form2, form3], rules: rules)
  }

  static func f3(
    _ opcode: UInt8, _ mnemonic: Mnemonic, _ form0: OperandForm = .none, _ form1: OperandForm = .none,
    _ form2: OperandForm = .none, _ form3: OperandForm = .none, rules: OpcodeRow.Rules = []
  ) -> VectorRow {
    VectorRow(2, opcode, mnemonic, [form0, form1, form2, form3], rules: rules)
  }

  static func f2(
    _ opcode: UInt8, _ mnemonic: Mnemonic, _ form0: OperandForm = .none, _ form1: OperandForm = .none,
    _ form2: OperandForm = .none, _ form3: OperandForm = .none, rules: OpcodeRow.Rules = []
  ) -> VectorRow {
    VectorRow(3, opcode, mnemonic, [form0, form1, form2, form3], rules: rules)
  }

  /// A block of rows, whose instructions have these operands unless they name their own.
  static func npBy(
    _ opcode: UInt8, _ selector: OpcodeRow.Selector, _ block: ExtensionBlock, _ form0: OperandForm = .none,
    _ form1: OperandForm = .none, rules: OpcodeRow.Rules = []
  ) -> VectorRow {
    VectorRow(0, opcode, .invalid, [form0, form1, .none, .none], selector, block, rules: rules)
  }

  static func p66By(
    _ opcode: UInt8, _ selector: OpcodeRow.Selector, _ block: ExtensionBlock, _ form0: OperandForm = .none,
    _ form1: OperandForm = .none, _ form2: OperandForm = .none, rules: OpcodeRow.Rules = []
  ) -> VectorRow {
    VectorRow(1, opcode, .invalid, [form0, form1, form2, .none], selector, block, rules: rules)
  }
}

/// The opcodes of MMX, SSE and AVX: written as lists, which are shorter than maps that are mostly empty, and looked up
/// in maps made of them.
enum VectorMap {
  /// The row of `opcode` behind the escape bytes or in the VEX map that `map` is, with a mandatory prefix; nil in the
  /// one-byte map.
  static func row(_ map: OpcodeMap, _ prefix: Int, _ opcode: UInt8) -> OpcodeRow? {
    let page: Int
    switch map {
    case .oneByte: return nil
    case .twoByte: page = 0
    case .threeByte38: page = 1
    case .threeByte3A: page = 2
    case .vex0F: page = 3
    case .vex0F38: page = 4
    case .vex0F3A: page = 5
    }
    return rows[(page &* 4 &+ (prefix & 3)) &* 256 &+ Int(opcode)]
  }

  /// By page, mandatory prefix and opcode.
  private static let rows: [OpcodeRow] = {
    var rows = [OpcodeRow](repeating: .none, count: 6 * 4 * 256)
    for (page, list) in [twoByteRows, threeByte38Rows, threeByte3ARows].enumerated() {
      for entry in list {
        func place(_ page: Int) {
          rows[(page * 4 + Int(entry.prefix)) * 256 + Int(entry.opcode)] = entry.row
        }
        if !entry.row.rules.contains(.onlyVEX) { place(page) }
        if !entry.row.rules.contains(.noVEX) { place(page + 3) }
      }
    }
    return rows
  }()
}
