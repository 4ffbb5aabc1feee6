import X86

/// The state of one decoding: what has been read so far.
struct Decoder {
  var cursor: ByteCursor
  let mode: DecodeMode
  var instruction = Instruction()

  /// A REX prefix, or what a VEX prefix says in its place: bits W, R, X, B in 3:0.
  var rex: UInt8 = 0
  var operandSizePrefix = false
  var addressSizePrefix = false
  /// The mandatory prefix in the order of ``OpcodeRow/Selector/prefix``: none, 66H, F3H, F2H.
  var mandatoryPrefix = 0
  var segmentOverride: SegmentRegister?
  var isVEX = false
  /// VEX.L, and VEX.W, which counts in every mode where it selects among elements.
  var vexL = false
  var vexW = false
  /// VEX.vvvv, not inverted.
  var vexRegister: UInt8 = 0
  /// Whether VEX.vvvv is 1111B, as it must be where it names no register.
  var hasUnusedV = true
  var opcode: UInt8 = 0
  var modRM: UInt8 = 0
  var hasModRM = false

  init(_ cursor: ByteCursor, _ mode: DecodeMode) {
    self.cursor = cursor
    self.mode = mode
  }

  var is64: Bool { mode == .long64 }
  var rexW: Bool { rex & 8 != 0 }
  /// REX.R, X and B as bit 3 of a register number.
  var rexR: UInt8 { (rex & 4) << 1 }
  var rexX: UInt8 { (rex & 2) << 2 }
  var rexB: UInt8 { (rex & 1) << 3 }
  /// The native operand size: n.
  var native: UInt8 { is64 ? 8 : 4 }
  /// The size of y operands.
  var wide: UInt8 { rexW ? 8 : 4 }
  var mod: UInt8 { modRM >> 6 }
  var reg: UInt8 { (modRM >> 3) & 7 }
  var rm: UInt8 { modRM & 7 }
  var isRegisterForm: Bool { modRM >= 0xC0 }
}

// MARK: Prefixes

extension Decoder {
  /// Consumes the legacy prefixes and the REX prefix: SDM volume 2, "Instruction Prefixes" and "REX Prefixes".
  mutating func readPrefixes() throws(DecodeFailure) {
    while true {
      let byte = try cursor.peek()
      if is64, byte & 0xF0 == 0x40 {
        rex = byte
      } else if takePrefix(byte) {
        // A REX prefix that is not the last one before the opcode is ignored.
        rex = 0
      } else {
        break
      }
      cursor.skip()
    }
    if rex != 0 { instruction.prefixes.insert(.rex) }
    if segmentOverride != nil { instruction.prefixes.insert(.segmentOverride) }
    if instruction.prefixes.contains(.rep) {
      mandatoryPrefix = 2
    } else if instruction.prefixes.contains(.repne) {
      mandatoryPrefix = 3
    } else if operandSizePrefix {
      mandatoryPrefix = 1
    }
    instruction.addressSize = addressSize
  }

  /// Notes a legacy prefix; false if `byte` is none.
  private mutating func takePrefix(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x26: overrideSegment(.es)
    case 0x2E: overrideSegment(.cs)
    case 0x36: overrideSegment(.ss)
    case 0x3E: overrideSegment(.ds)
    case 0x64: overrideSegment(.fs)
    case 0x65: overrideSegment(.gs)
    case 0x66: operandSizePrefix = true
    case 0x67: addressSizePrefix = true
    case 0xF0: instruction.prefixes.insert(.lock)
    case 0xF2:
      instruction.prefixes.remove(.rep)
      instruction.prefixes.insert(.repne)
    case 0xF3:
      instruction.prefixes.remove(.repne)
      instruction.prefixes.insert(.rep)
    default: return false
    }
    return true
  }

  /// The last override counts; in 64-bit mode those of CS, DS, ES and SS are ignored.
  private mutating func overrideSegment(_ segment: SegmentRegister) {
    if is64, segment != .fs, segment != .gs { return }
    segmentOverride = segment
  }

  private var addressSize: UInt8 {
    switch mode {
    case .real16, .protected16: addressSizePrefix ? 4 : 2
    case .protected32: addressSizePrefix ? 2 : 4
    case .long64: addressSizePrefix ? 4 : 8
    }
  }

  /// Consumes a VEX prefix, whose first byte is `first`: SDM volume 2, "The VEX Prefix".
  mutating func readVEX(_ first: UInt8) throws(DecodeFailure) -> OpcodeMap {
    let clash = rex != 0 || mandatoryPrefix != 0 || operandSizePrefix
    guard !clash, !instruction.prefixes.contains(.lock) else { throw .invalid }
    isVEX = true
    var map: UInt8 = 1
    var byte = try cursor.next()
    // R, X and B are inverted; outside 64-bit mode they are not bits of register numbers.
    if first == 0xC4 {
      rex = is64 ? ~byte >> 5 & 7 : 0
      map = byte & 0x1F
      byte = try cursor.next()
      if is64 { rex |= byte >> 4 & 8 }
    } else {
      rex = is64 ? ~byte >> 5 & 4 : 0
    }
    vexRegister = ~byte >> 3 & (is64 ? 15 : 7)
    vexL = byte & 4 != 0
    vexW = first == 0xC4 && byte & 0x80 != 0
    instruction.prefixes.insert(.vex)
    // The SDM's order of VEX.pp is none, 66H, F3H, F2H.
    mandatoryPrefix = Int(byte & 3)
    hasUnusedV = ~byte & 0x78 == 0
    switch map {
    case 1: return .vex0F
    case 2: return .vex0F38
    case 3: return .vex0F3A
    default: throw .invalid
    }
  }
}

// MARK: Opcode

extension Decoder {
  /// Consumes the opcode and, if it has one, the ModRM byte, and returns the instruction's row.
  mutating func readOpcode() throws(DecodeFailure) -> OpcodeRow {
    let map = try readMap()
    opcode = try cursor.next()
    instruction.condition = opcode & 15
    var row = map.row(opcode)
    if row.isUndefined { row = vectorRow(map) }
    if row.usesModRM { try readModRM() }
    while row.selector != .instruction {
      var selected =
        row.selector == .x87
        ? OpcodeMap.x87Row(opcode, modRM: modRM)
        : OpcodeMap.extensions[Int(row.block.rawValue) &* 8 &+ select(row.selector)]
      if selected.form0 == .none {
        selected.form0 = row.form0
        selected.form1 = row.form1
        selected.form2 = row.form2
        selected.form3 = row.form3
      }
      selected.rules.formUnion(row.rules)
      row = selected
      if row.usesModRM { try readModRM() }
    }
    guard row.mnemonic != .invalid else { throw .invalid }
    try checkRules(row.rules)
    if row.rules.contains(.vector), isVEX, !hasUnusedV, !row.usesV(isRegisterForm: isRegisterForm) {
      throw .invalid
    }
    instruction.mnemonic = row.mnemonic
    instruction.operandSize = operandSize(row)
    if row.rules.contains(.vector) { describeVector(row) }
    if row.mnemonic.isX87 { instruction.immediate = UInt64(opcode & 7) << 8 | UInt64(modRM) }
    return row
  }

  /// The row of an opcode of MMX, SSE or AVX, which the mandatory prefix selects.
  private mutating func vectorRow(_ map: OpcodeMap) -> OpcodeRow {
    guard let row = VectorMap.row(map, mandatoryPrefix, opcode) else { return .none }
    if !row.isUndefined { instruction.prefixes.subtract([.rep, .repne]) }
    return row
  }

  /// What a vector instruction has beside its operands: its width, and the size of its elements.
  private mutating func describeVector(_ row: OpcodeRow) {
    if vexL, !row.rules.contains(.lig) { instruction.prefixes.insert(.vex256) }
    if row.rules.contains(.byW) { instruction.operandSize = vexW ? 8 : 4 }
    if row.mnemonic.isFused { instruction.condition = opcode >> 4 & 3 }
  }

  /// Consumes the escape bytes or the VEX prefix.
  private mutating func readMap() throws(DecodeFailure) -> OpcodeMap {
    switch try cursor.peek() {
    case 0x0F:
      cursor.skip()
      switch try cursor.peek() {
      case 0x38:
        cursor.skip()
        return .threeByte38
      case 0x3A:
        cursor.skip()
        return .threeByte3A
      default: return .twoByte
      }
    case let first where first & 0xFE == 0xC4:
      guard try isVEXPrefix() else { return .oneByte }
      cursor.skip()
      return try readVEX(first)
    default: return .oneByte
    }
  }

  /// Whether C4 or C5 begins a VEX prefix: always in 64-bit mode, elsewhere when LES or LDS would have a register
  /// operand, which they cannot.
  private func isVEXPrefix() throws(DecodeFailure) -> Bool {
    if is64 { return true }
    if mode == .real16 { return false }
    var ahead = cursor
    ahead.skip()
    return try ahead.peek() >= 0xC0
  }

  private mutating func readModRM() throws(DecodeFailure) {
    guard !hasModRM else { return }
    modRM = try cursor.next()
    hasModRM = true
  }

  /// The row of a block that this instruction selects.
  private mutating func select(_ selector: OpcodeRow.Selector) -> Int {
    switch selector {
    case .instruction, .x87: return 0
    case .reg: return Int(reg)
    case .rm: return Int(rm)
    case .mod: return isRegisterForm ? 1 : 0
    case .prefix:
      // Used up: it repeats nothing.
      instruction.prefixes.subtract([.rep, .repne])
      return mandatoryPrefix
    case .mode: return is64 ? 1 : 0
    case .rexB: return rexB != 0 ? 1 : 0
    case .rexW: return rexW ? 1 : 0
    case .vexL: return vexL ? 1 : 0
    }
  }

  private func checkRules(_ rules: OpcodeRow.Rules) throws(DecodeFailure) {
    if rules.contains(.not64), is64 { throw .invalid }
    if rules.contains(.only64), !is64 { throw .invalid }
    if rules.contains(.noPrefix), mandatoryPrefix != 0 || operandSizePrefix { throw .invalid }
    if rules.contains(.noV), !hasUnusedV { throw .invalid }
    guard isVEX else { return }
    if vexL, rules.contains(.l0) || !rules.contains(.vector) { throw .invalid }
    if !vexL, rules.contains(.l1) { throw .invalid }
    if vexW ? rules.contains(.w0) : rules.contains(.w1) { throw .invalid }
  }

  /// The operand size, which is fixed for some forms.
  private func operandSize(_ row: OpcodeRow) -> UInt8 {
    if row.rules.contains(.byte) || row.form0.isByte { return 1 }
    switch row.form0 {
    case .gy where row.form1 != .ev, .my, .ry: return wide
    case .gn, .en, .rn, .cn, .dn: return native
    default: return operandSize(row.rules)
    }
  }

  /// The effective operand size: SDM volume 1, "Operand Size and Address Size in 64-Bit Mode".
  private func operandSize(_ rules: OpcodeRow.Rules) -> UInt8 {
    switch mode {
    case .real16, .protected16: return operandSizePrefix ? 4 : 2
    case .protected32: return operandSizePrefix ? 2 : 4
    case .long64:
      if rules.contains(.force64) { return 8 }
      if rexW { return rules.contains(.max32) ? 4 : 8 }
      if operandSizePrefix { return 2 }
      return rules.contains(.default64) ? 8 : 4
    }
  }

  /// LOCK is for a read-modify-write of memory only: SDM volume 2, "LOCK—Assert LOCK# Signal Prefix".
  func checkLock(_ row: OpcodeRow) throws(DecodeFailure) {
    guard instruction.prefixes.contains(.lock) else { return }
    guard row.rules.contains(.lock), instruction.operand0.kind == .memory else { throw .invalid }
  }
}
