/// A JSON value that is written with its keys in the order given, so that equal values are equal bytes.
public enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  public struct Member: Equatable, Sendable {
    public var key: String
    public var value: JSONValue

    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// The value as JSON text; `indent` is the number of spaces per level, or nil for one line.
  public func text(indent: Int? = nil) -> String {
    var output = ""
    write(to: &output, indent: indent, depth: 0)
    return output
  }

  func write(to output: inout String, indent: Int?, depth: Int) {
    switch self {
    case .null: output += "null"
    case .bool(let value): output += value ? "true" : "false"
    case .integer(let value): output += String(value)
    case .unsigned(let value): output += String(value)
    case .number(let value): output += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.write(string: value, to: &output)
    case .array(let values):
      Self.write(values, open: "[", close: "]", to: &output, indent: indent, depth: depth) { value, output in
        value.write(to: &output, indent: indent, depth: depth + 1)
      }
    case .object(let members):
      Self.write(members, open: "{", close: "}", to: &output, indent: indent, depth: depth) {
        member, output in
        Self.write(string: member.key, to: &output)
        output += indent == nil ? ":" : ": "
        member.value.write(to: &output, indent: indent, depth: depth + 1)
      }
    }
  }

  private static func write<Element>(
    _ elements: [Element], open: Character, close: Character, to output: inout String, indent: Int?,
    depth: Int,
    each: (Element, inout String) -> Void
  ) {
    output.append(open)
    for (index, element) in elements.enumerated() {
      if index > 0 { output += "," }
      breakLine(to: &output, indent: indent, depth: depth + 1)
      each(element, &output)
    }
    if !elements.isEmpty { breakLine(to: &output, indent: indent, depth: depth) }
    output.append(close)
  }

  private static func breakLine(to output: inout String, indent: Int?, depth: Int) {
    guard let indent else { return }
    output += "\n" + String(repeating: " ", count: indent * depth)
  }

  /// Writes a string literal; every control character is escaped, so hostile text stays text.
  static func write(string: String, to output: inout String) {
    output += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": output += "\\\""
      case "\\": output += "\\\\"
      case "\n": output += "\\n"
      case "\r": output += "\\r"
      case "\t": output += "\\t"
      case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
        let digits = String(scalar.value, radix: 16)
        output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: output.unicodeScalars.append(scalar)
      }
    }
    output += "\""
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}
