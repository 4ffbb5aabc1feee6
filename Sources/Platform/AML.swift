/// ACPI Machine Language, as far as this machine's description needs it: each function gives the bytes of one term.
///
/// Source: ACPI Specification, "ACPI Machine Language (AML) Specification".
package enum AML {
  private enum Opcode {
    static let zero: UInt8 = 0x00
    static let one: UInt8 = 0x01
    static let name: UInt8 = 0x08
    static let byte: UInt8 = 0x0A
    static let word: UInt8 = 0x0B
    static let doubleWord: UInt8 = 0x0C
    static let string: UInt8 = 0x0D
    static let quadWord: UInt8 = 0x0E
    static let scope: UInt8 = 0x10
    static let buffer: UInt8 = 0x11
    static let package: UInt8 = 0x12
    static let device: [UInt8] = [0x5B, 0x82]
  }

  // MARK: Names

  /// A path such as `\_SB.PCI0`: an optional root, and up to 255 segments, each padded with underscores to four
  /// characters.
  package static func path(_ text: String) -> [UInt8] {
    let isAbsolute = text.hasPrefix("\\")
    let segments = (isAbsolute ? text.dropFirst() : text[...]).split(separator: ".").map { segment in
      Array(segment.utf8.prefix(4))
        + Array(repeating: UInt8(ascii: "_"), count: max(0, 4 - segment.utf8.count))
    }
    let prefix: [UInt8] =
      switch segments.count {
      case 0: [0x00]
      case 1: []
      case 2: [0x2E]
      default: [0x2F, UInt8(truncatingIfNeeded: segments.count)]
      }
    return (isAbsolute ? [UInt8(ascii: "\\")] : []) + prefix + segments.joined()
  }

  // MARK: Data

  /// The shortest encoding of an integer.
  package static func integer(_ value: UInt64) -> [UInt8] {
    func bytes(_ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }
    return switch value {
    case 0: [Opcode.zero]
    case 1: [Opcode.one]
    case ..<0x100: [Opcode.byte] + bytes(1)
    case ..<0x1_0000: [Opcode.word] + bytes(2)
    case ..<0x1_0000_0000: [Opcode.doubleWord] + bytes(4)
    default: [Opcode.quadWord] + bytes(8)
    }
  }

  package static func string(_ text: String) -> [UInt8] { [Opcode.string] + Array(text.utf8) + [0] }

  package static func buffer(_ contents: [UInt8]) -> [UInt8] {
    [Opcode.buffer] + counted(integer(UInt64(contents.count)) + contents)
  }

  /// At most 255 elements.
  package static func package(_ elements: [[UInt8]]) -> [UInt8] {
    [Opcode.package] + counted([UInt8(truncatingIfNeeded: elements.count)] + elements.joined())
  }

  /// The 32-bit form of an EISA identifier: three letters and four hexadecimal digits.
  package static func eisaIdentifier(_ text: String) -> [UInt8] {
    let letters = text.utf8.prefix(3).reduce(UInt32(0)) { $0 << 5 | UInt32($1 & 0x1F) }
    let product = UInt32(text.dropFirst(3), radix: 16) ?? 0
    return [Opcode.doubleWord]
      + [letters >> 8, letters, product >> 8, product].map { UInt8(truncatingIfNeeded: $0) }
  }

  // MARK: Named objects

  package static func name(_ path: String, _ value: [UInt8]) -> [UInt8] {
    [Opcode.name] + Self.path(path) + value
  }

  package static func scope(_ path: String, _ terms: [[UInt8]]) -> [UInt8] {
    [Opcode.scope] + counted(Self.path(path) + terms.joined())
  }

  package static func device(_ path: String, _ terms: [[UInt8]]) -> [UInt8] {
    Opcode.device + counted(Self.path(path) + terms.joined())
  }

  /// `contents` behind their PkgLength, which counts its own bytes: one of 6 bits, or 4 bits and up to three bytes.
  package static func counted(_ contents: [UInt8]) -> [UInt8] {
    if contents.count < 0x3F { return [UInt8(contents.count + 1)] + contents }
    let extra = contents.count + 2 < 0x1000 ? 1 : contents.count + 3 < 0x10_0000 ? 2 : 3
    let length = contents.count + 1 + extra
    let rest = (0..<extra).map { UInt8(truncatingIfNeeded: length >> (4 + 8 * $0)) }
    return [UInt8(extra << 6 | length & 0xF)] + rest + contents
  }
}
