/// The opcode maps, and how an opcode finds its row.
enum OpcodeMap: UInt8 {
  case oneByte
  case twoByte
  /// The sparse maps, in the order of ``pageNumbers``.
  case threeByte38, threeByte3A, vex0F, vex0F38, vex0F3A

  /// The row of `opcode` in this map.
  @inline(__always)
  func row(_ opcode: UInt8) -> OpcodeRow {
    switch self {
    case .oneByte: return OpcodeMap.oneByteRows[Int(opcode)]
    case .twoByte: return OpcodeMap.twoByteRows[Int(opcode)]
    case .threeByte38, .threeByte3A, .vex0F, .vex0F38, .vex0F3A:
      let sparse = Int(rawValue &- OpcodeMap.threeByte38.rawValue)
      let page = OpcodeMap.pageNumbers[sparse &* 16 &+ Int(opcode >> 4)]
      return OpcodeMap.pages[Int(page) &* 16 &+ Int(opcode & 15)]
    }
  }
}

extension OpcodeMap {
  /// For each sparse map, the page of 16 rows in ``pages`` that has the opcodes with each high digit.
  static let pageNumbers: InlineArray<80, UInt8> = [
    // 0F 38
    0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2,
    // 0F 3A
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    // VEX 0F
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    // VEX 0F 38
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3,
    // VEX 0F 3A
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4,
  ]

  /// Pages of 16 opcodes.
  ///
  /// Source: SDM volume 2, "Opcode Map", "Three-byte Opcode Map".
  static let pages: InlineArray<80, OpcodeRow> = [
    // Page 0: nothing
    .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .none,
    // Page 1: 0F 38 80
    .by(.prefix, .invept), .by(.prefix, .invvpid), .by(.prefix, .invpcid), .none, .none, .none, .none,
    .none, .none, .none, .none, .none, .none, .none, .none, .none,
    // Page 2: 0F 38 F0
    .by(.prefix, .movbeLoad), .by(.prefix, .movbeStore), .none, .none, .none, .none,
    .by(.prefix, .adcxADOX), .none, .by(.prefix, .movdir64b), .by(.prefix, .movdiri), .none, .none, .none,
    .none, .none, .none,
    // Page 3: VEX 0F 38 F0
    .none, .none, .by(.prefix, .vexANDN), .by(.prefix, .vexGroup17), .none, .by(.prefix, .vexF5),
    .by(.prefix, .vexMULX), .by(.prefix, .vexF7), .none, .none, .none, .none, .none, .none, .none, .none,
    // Page 4: VEX 0F 3A F0
    .by(.prefix, .vexRORX), .none, .none, .none, .none, .none, .none, .none, .none, .none, .none, .none,
    .none, .none, .none, .none,
  ]
}
