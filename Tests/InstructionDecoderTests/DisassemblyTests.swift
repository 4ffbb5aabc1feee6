import InstructionDecoder
import Testing

/// Random instructions, compared with the opinion of the toolchain's disassembler.
@Suite struct DisassemblyTests {
  static let disassembler = Disassembler.find()

  @Test(
    .enabled(if: disassembler != nil, "no clang and llvm-objdump beside a swiftc on the PATH"),
    arguments: [DecodeMode.protected16, .protected32, .long64])
  func agreesWithTheDisassembler(_ mode: DecodeMode) throws {
    let disassembler = try #require(Self.disassembler)
    var random = RandomBits(seed: 0x7E57_0000 + UInt64(mode.rawValue))
    let cases = (0..<20_000).map { _ in Self.randomCode(mode, &random) }
    let lines = try disassembler.disassemble(cases, mode)
    var compared = 0
    for (number, code) in cases.enumerated() {
      let opinion = Opinion(code, mode, lines[number], address: UInt64(number * Disassembler.stride))
      if opinion.isShared { compared += 1 }
      #expect(opinion.difference == nil)
    }
    // Most of what is generated is an instruction to both.
    #expect(compared > 10_000)
  }

  @Test(
    "MMX, SSE and AVX",
    .enabled(if: disassembler != nil, "no clang and llvm-objdump beside a swiftc on the PATH"),
    arguments: [DecodeMode.protected32, .long64])
  func agreesOnVectorInstructions(_ mode: DecodeMode) throws {
    let disassembler = try #require(Self.disassembler)
    var random = RandomBits(seed: 0x7E57_AA00 + UInt64(mode.rawValue))
    let cases = (0..<30_000).map { _ in Self.randomVectorCode(mode, &random) }
    let lines = try disassembler.disassemble(cases, mode)
    var compared = 0
    for (number, code) in cases.enumerated() {
      let opinion = Opinion(code, mode, lines[number], address: UInt64(number * Disassembler.stride))
      if opinion.isShared { compared += 1 }
      #expect(opinion.difference == nil)
    }
    #expect(compared > 6_000)
  }

  /// A legacy encoding with at most one mandatory prefix, or a VEX prefix; of every map.
  private static func randomVectorCode(_ mode: DecodeMode, _ random: inout RandomBits) -> [UInt8] {
    func byte() -> UInt8 { UInt8(truncatingIfNeeded: random.next()) }
    let map = UInt8(random.next() % 3)
    // Opcodes that MMX, SSE and AVX share with nothing else.
    let twoByte: [ClosedRange<UInt8>] = [
      0x10...0x17, 0x28...0x2F, 0x50...0x77, 0x7C...0x7F, 0xC2...0xC2, 0xC4...0xC6, 0xD0...0xFE,
    ]
    var opcode = byte()
    while map == 0, !twoByte.contains(where: { $0.contains(opcode) }) { opcode = byte() }
    if map == 1 { opcode &= 0xBF }
    if map == 2 { opcode &= 0x7F }
    let isVEX = random.next() & 1 == 0
    var code: [UInt8] = []
    if isVEX {
      // VEX.vvvv is 1111B as often as not.
      let unused: UInt8 = random.next() & 1 == 0 ? 0x78 : 0
      let high = mode == .long64 ? byte() & 0xE0 : 0xE0
      let third = byte() & (random.next() & 1 == 0 ? 0x7F : 0xFF) | unused | (mode == .long64 ? 0 : 0x40)
      code = [0xC4, high | (map + 1), third, opcode]
    } else {
      let prefix: [UInt8] = [[], [0x66], [0x66], [0xF3], [0xF2]][Int(random.next() % 5)]
      code = prefix
      if mode == .long64, random.next() % 3 == 0 { code.append(0x40 | byte() & 15) }
      code += [[0x0F], [0x0F, 0x38], [0x0F, 0x3A]][Int(map)] + [opcode]
    }
    return code + (0..<(15 - code.count)).map { _ in byte() }
  }

  /// Up to three prefixes, an opcode of a map that has integer instructions, and random bytes.
  private static func randomCode(_ mode: DecodeMode, _ random: inout RandomBits) -> [UInt8] {
    var code: [UInt8] = []
    func chance(_ one: UInt64) -> Bool { random.next() % one == 0 }
    if chance(8) { code.append([0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65].randomElement(using: &random) ?? 0x64) }
    if chance(8) { code.append(0x67) }
    if chance(6) { code.append(0x66) }
    if chance(10) { code.append([0xF2, 0xF3].randomElement(using: &random) ?? 0xF3) }
    if mode == .long64, chance(3) { code.append(0x40 | UInt8(random.next() % 16)) }
    switch random.next() % 16 {
    case 0...8: break
    case 9...13: code.append(0x0F)
    case 14: code += [0x0F, 0x38, 0xF0 | UInt8(random.next() % 16)]
    default:
      let map = UInt8(random.next() % 8 == 0 ? 3 : 2)
      let flags = UInt8(random.next() % 8) << 5
      let second = UInt8(truncatingIfNeeded: random.next()) & 0xFB
      code = [0xC4, map | (mode == .long64 ? flags : 0xE0), second, 0xF0 | UInt8(random.next() % 8)]
    }
    code += (0..<12).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    return Array(code.prefix(15))
  }
}

/// What the two say about one case.
struct Opinion {
  var code: [UInt8]
  /// The code behind the prefixes.
  var opcodes: [UInt8]
  var mode: DecodeMode
  var ours: Instruction?
  var ourText: String?
  var theirs: Disassembler.Line

  init(_ code: [UInt8], _ mode: DecodeMode, _ line: Disassembler.Line, address: UInt64) {
    self.code = code
    self.mode = mode
    self.theirs = line
    let prefixes: Set<UInt8> = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3]
    let opcodes = code.drop { prefixes.contains($0) || mode == .long64 && $0 & 0xF0 == 0x40 }
    self.opcodes = Array(opcodes)
    if let instruction = try? decode(code, mode) {
      ours = instruction
      ourText =
        IntelSyntax(instruction: instruction, mode: mode, address: address, opcode: self.opcodes[0]).text
    }
  }

  var isShared: Bool { ours != nil && theirs.text != nil }

  /// A sentence on how they differ, or nil.
  var difference: String? {
    if isKnownToDiffer { return nil }
    guard let ours, let ourText else {
      guard let text = theirs.text, isInteger(text) else { return nil }
      return "\(hex(code)): undefined, but to the disassembler \(text)"
    }
    guard let text = theirs.text else {
      return "\(hex(code)): \(ourText), but undefined to the disassembler"
    }
    let same = normalized(ourText, ours) == normalized(text, ours) && Int(ours.length) == theirs.length
    return same ? nil : "\(hex(code)): \(ourText) (\(ours.length)), but \(text) (\(theirs.length))"
  }

  /// Where LLVM's disassembler is of another opinion than the SDM: it does not know INT1, some of the reserved NOPs
  /// and the shifts with /6, minds the mod field of MOV of control registers, and knows REX2; takes CBW and CWD for
  /// 32 bits in 16-bit code; does not mind where LOCK and prefixes that must not be there are, and lets 66H shorten
  /// near branches in 64-bit mode and an ignored segment override hide one that counts.
  private var isKnownToDiffer: Bool {
    if let ours, ours.mnemonic.isVector, differsAsVector(ours) { return true }
    if isVector(opcodes), differsAsVector(prefixes: code.dropLast(opcodes.count)) { return true }
    let prefixes = code.dropLast(opcodes.count)
    let repeats = prefixes.contains(0xF2) || prefixes.contains(0xF3)
    let sizes = prefixes.contains(0x66) || prefixes.contains(0x67)
    let overrides = prefixes.filter { [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65].contains($0) }
    if prefixes.contains(0xF0), ours == nil { return true }
    if repeats, sizes, opcodes[0] != 0x0F { return true }
    if overrides.count > (repeats ? 0 : 1) { return true }
    switch (opcodes[0], opcodes[1]) {
    // The disassembler leaves out operands of x87 instructions, and does not know their other encodings.
    case (0xD8...0xDF, _): return true
    case (0xF1, _), (0x0F, 0x0D), (0x0F, 0x18...0x1E), (0x0F, 0x20...0x23), (0x0F, 0xFF): return true
    case (0x0F, 0x05), (0x0F, 0x07): return mode != .long64
    case (0xD4...0xD5, _): return mode == .long64 || opcodes[1] == 10
    case (0x63, _), (0xE3, _): return sizes
    case (0x90, _): return repeats
    case (0x8E, _): return opcodes[1] >> 3 & 7 == 1
    case (0xC0...0xC1, _), (0xD0...0xD3, _): return opcodes[1] >> 3 & 7 == 6
    case (0xF6...0xF7, _): return opcodes[1] >> 3 & 7 == 1
    case (0x98...0x99, _): return mode == .protected16
    case (0xE8...0xE9, _), (0x0F, 0x80...0x8F): return repeats || sizes && mode == .long64
    case (0x0F, 0x01), (0x0F, 0x09), (0x0F, 0x78...0x79), (0x0F, 0xAE), (0x0F, 0xC3), (0x0F, 0xC7):
      return repeats || sizes
    case (0x0F, 0x38) where opcodes[2] == 0xF6: return mode == .protected16
    case (0x0F, 0x38) where [0xF0, 0xF1, 0xF8, 0xF9].contains(opcodes[2]):
      return repeats || sizes
    default: return false
    }
  }

  /// Whether the opcode is one of MMX, SSE and AVX.
  private func isVector(_ opcodes: [UInt8]) -> Bool {
    if let ours, ours.mnemonic.isVector { return true }
    guard opcodes.count > 2, opcodes[0] == 0x0F else { return false }
    switch opcodes[1] {
    case 0x10...0x17, 0x28...0x2F, 0x50...0x77, 0x7C...0x7F, 0xC2, 0xC4...0xC6, 0xD0...0xFE, 0x38, 0x3A:
      return true
    default: return false
    }
  }

  /// It ignores mandatory prefixes before an opcode that has no such form, and 66H among them in 16-bit code; in 32-bit
  /// code it minds VEX.W of general registers, and the fourth register's bit 3.
  private func differsAsVector(prefixes: ArraySlice<UInt8>) -> Bool {
    let isPrefixed = prefixes.contains { [0x66, 0xF2, 0xF3].contains($0) }
    if isPrefixed, ours == nil || mode == .protected16 { return true }
    guard mode != .long64, let ours, ours.prefixes.contains(.vex) else { return false }
    switch ours.mnemonic {
    case .movd, .pinsrd, .pextrd, .vpgatherd, .vpgatherq, .cvtsi2ss, .cvtsi2sd, .cvtss2si, .cvttss2si,
      .cvtsd2si,
      .cvttsd2si, .blendvps, .blendvpd, .pblendvb:
      return true
    default: return false
    }
  }

  /// It writes the predicates of comparisons and of carry-less products into the name.
  private func differsAsVector(_ instruction: Instruction) -> Bool {
    switch instruction.mnemonic {
    case .cmpps, .cmppd, .cmpss, .cmpsd, .pclmulqdq: true
    // With REX.W it takes MOVQ for the form of another register file.
    case .movq: !instruction.prefixes.contains(.vex)
    default: false
    }
  }

  /// Whether a name is one of the instructions that the decoder knows.
  private func isInteger(_ text: String) -> Bool {
    let name = String(text.prefix { $0 != " " })
    return Mnemonic.allCases.contains { "\($0)" == name }
  }

  /// The size of an immediate as a number, in bytes.
  private func immediateSize(_ instruction: Instruction) -> UInt8 {
    switch instruction.mnemonic {
    case .enter, .rol, .ror, .rcl, .rcr, .shl, .shr, .sar, .shld, .shrd, .bt, .bts, .btr, .btc, .rorx, .int: 1
    case .in, .out, .aam, .aad: 1
    case .ret, .retFar, .callFar, .jmpFar: 2
    case _ where instruction.mnemonic.isVector: 1
    default: instruction.operandSize
    }
  }

  /// Writes all numbers alike: unsigned hexadecimal of the operand's or the address's size.
  private func normalized(_ text: String, _ instruction: Instruction) -> String {
    var result = ""
    var isAddress = false
    // It writes the overrides that 64-bit mode ignores, too.
    let ignored = mode == .long64 ? #/\b[cdes]s:/# : #/^$/#
    var rest = Substring(text.replacing(ignored, with: ""))
    while let first = rest.first {
      if first == "[" { isAddress = true }
      if first == "]" { isAddress = false }
      let mayStart = first == "-" || first == "0" && !(result.last?.isHexDigit ?? false)
      if mayStart, let match = rest.prefixMatch(of: /-?0x([0-9a-f]+)/) {
        let magnitude = UInt64(match.1, radix: 16) ?? 0
        let value = first == "-" ? 0 &- magnitude : magnitude
        let size = isAddress ? instruction.addressSize : immediateSize(instruction)
        let mask = size == 8 ? UInt64.max : (1 << (UInt64(size) * 8)) - 1
        result += String(value & mask, radix: 16)
        rest = rest[match.range.upperBound...]
      } else {
        result.append(first)
        rest.removeFirst()
      }
    }
    return result
  }
}
