import Report
import Testing

@Suite struct JSONParsingTests {
  private static func parsed(_ text: String) throws(JSONError) -> JSONValue {
    try JSONValue(parsing: Array(text.utf8))
  }

  @Test(
    arguments: [
      ("null", .null), (" true ", .bool(true)), ("[false]", [.bool(false)]), ("0", .unsigned(0)),
      ("18446744073709551615", .unsigned(.max)), ("-9223372036854775808", .integer(.min)),
      ("1.5e3", .number(1500)), ("[]", []), ("{ }", .object([])),
      ("[1,[2]]", [.unsigned(1), [.unsigned(2)]]),
      (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{C}\n\r\tz"), (#""\u00e9\ud83d\ude00""#, "é😀"),
      (#""\ud800x""#, "\u{FFFD}x"), (#"{"b": 1, "a": {}}"#, ["b": .unsigned(1), "a": .object([])]),
    ] as [(String, JSONValue)])
  func valueIsRead(_ text: String, _ value: JSONValue) throws {
    #expect(try Self.parsed(text) == value)
  }

  @Test(
    arguments: [
      ("", 1), ("{", 1), ("[1,\n2", 2), ("[1,]", 1), ("{\"a\":1,}", 1), ("{a:1}", 1), ("nul", 1), ("1 2", 1),
      ("\"a", 1), ("\"a\nb\"", 2), ("\"\\x\"", 1), ("\"\\u12\"", 1), ("+1", 1), ("01", 1), (".5", 1),
      ("1e999", 1), ("--1", 1),
      ("\n\n[\n}", 4), ("{\"a\" \"b\"}", 1),
    ] as [(String, Int)])
  func whatIsNoJSONIsRefusedWithItsLine(_ text: String, _ line: Int) {
    #expect { try Self.parsed(text) } throws: { ($0 as? JSONError)?.line == line }
  }

  @Test func whatIsWrittenIsRead() throws {
    let value: JSONValue = [
      "text": "a\u{1}\u{7F}\"é", "numbers": [.unsigned(.max), .integer(-5), .number(0.25)], "none": .null,
      "deep": [[["x": .bool(false)]]],
    ]
    #expect(try Self.parsed(value.text()) == value)
    #expect(try Self.parsed(value.text(indent: 2)) == value)
  }
}
