/// Why a text is not JSON: one phrase, with the line where it ends to be.
public struct JSONError: Error, Equatable {
  /// The line, from 1.
  public var line: Int
  public var problem: String
}

extension JSONValue {
  /// The value that `text`, UTF-8, is; objects keep the order of their members, repeated keys too.
  public init(parsing text: [UInt8]) throws(JSONError) {
    var parser = JSONParser(text: text)
    self = try parser.document()
  }

  /// The member of an object, or nil if there is none or this is no object.
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// What kind of value this is, for people.
  public var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .unsigned, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// A reader of JSON (RFC 8259) that bounds how deep values nest, for the text may be anybody's.
private struct JSONParser {
  static let deepest = 64

  let text: [UInt8]
  var position = 0

  init(text: [UInt8]) { self.text = text }

  mutating func document() throws(JSONError) -> JSONValue {
    let value = try value(depth: 0)
    skipSpace()
    guard position == text.count else { throw error("expected the end of the file after the value") }
    return value
  }

  private func error(_ problem: String) -> JSONError {
    JSONError(line: 1 + text.prefix(position).count { $0 == UInt8(ascii: "\n") }, problem: problem)
  }

  private mutating func skipSpace() {
    while let byte = peek, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
  }

  private var peek: UInt8? { position < text.count ? text[position] : nil }

  /// Takes `character` if it is next after white space.
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func takeWord(_ word: String) -> Bool {
    guard text[position...].starts(with: word.utf8) else { return false }
    position += word.utf8.count
    return true
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth < Self.deepest else { throw error("values nest deeper than \(Self.deepest)") }
    if take("{") { return .object(try members(depth: depth)) }
    if take("[") { return .array(try elements(depth: depth)) }
    if take("\"") { return .string(try string()) }
    if takeWord("true") { return .bool(true) }
    if takeWord("false") { return .bool(false) }
    if takeWord("null") { return .null }
    return try number()
  }

  private mutating func members(depth: Int) throws(JSONError) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    if take("}") { return members }
    repeat {
      guard take("\"") else { throw error("expected a key in quotation marks") }
      let key = try string()
      guard take(":") else { throw error("expected ':' after the key \"\(key.prefix(40))\"") }
      members.append(JSONValue.Member(key, try value(depth: depth + 1)))
    } while take(",")
    guard take("}") else { throw error("expected ',' or '}' in an object") }
    return members
  }

  private mutating func elements(depth: Int) throws(JSONError) -> [JSONValue] {
    var elements: [JSONValue] = []
    if take("]") { return elements }
    repeat { elements.append(try value(depth: depth + 1)) } while take(",")
    guard take("]") else { throw error("expected ',' or ']' in an array") }
    return elements
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    while let byte = peek, "+-.0123456789eE".utf8.contains(byte) { position += 1 }
    let digits = String(decoding: text[start..<position], as: UTF8.self)
    let magnitude = digits.drop { $0 == "-" }
    let hasLeadingZero = magnitude.first == "0" && magnitude.dropFirst().first?.isNumber == true
    if magnitude.first?.isNumber == true, !hasLeadingZero {
      if let value = UInt64(digits) { return .unsigned(value) }
      if let value = Int64(digits) { return .integer(value) }
      if let value = Double(digits), value.isFinite { return .number(value) }
    }
    position = start
    throw error(start == text.count ? "the file ends before the value does" : "expected a JSON value")
  }

  private mutating func string() throws(JSONError) -> String {
    var bytes: [UInt8] = []
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: bytes, as: UTF8.self)
      case UInt8(ascii: "\\"): bytes += try escaped()
      case 0..<0x20: throw error("a control character in a string")
      default: bytes.append(byte)
      }
    }
    throw error("a string without its closing quotation mark")
  }

  private mutating func escaped() throws(JSONError) -> [UInt8] {
    guard let byte = peek else { throw error("a string without its closing quotation mark") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return try scalar()
    default: throw error("an escape that JSON does not have in a string")
    }
  }

  /// The character of `\uXXXX`; two surrogates make one, and a lone one becomes the replacement character.
  private mutating func scalar() throws(JSONError) -> [UInt8] {
    var code = try codeUnit()
    if 0xD800..<0xDC00 ~= code, takeWord("\\u") {
      let low = try codeUnit()
      code = 0xDC00..<0xE000 ~= low ? 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00) : 0xFFFD
    }
    return Array(String(Character(Unicode.Scalar(code) ?? "\u{FFFD}")).utf8)
  }

  private mutating func codeUnit() throws(JSONError) -> UInt32 {
    let digits = text[position...].prefix(4)
    guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let code = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw error("expected four hexadecimal digits after \\u") }
    position += 4
    return code
  }
}
