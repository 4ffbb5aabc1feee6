import Foundation
import Report
import Testing

@Suite struct JSONValueTests {
  @Test func keysKeepTheirOrder() {
    let value: JSONValue = ["z": .unsigned(1), "a": [.bool(true), .null], "m": .object([])]
    #expect(value.text() == #"{"z":1,"a":[true,null],"m":{}}"#)
  }

  @Test func indentedTextHasOneMemberPerLine() {
    let value: JSONValue = ["a": [.integer(-1)], "b": .array([])]
    #expect(value.text(indent: 2) == "{\n  \"a\": [\n    -1\n  ],\n  \"b\": []\n}")
  }

  /// Another reader understands what was written, whatever a guest put into its strings.
  @Test func hostileStringsSurvive() throws {
    let text = "quote \" backslash \\ newline \n nul \0 escape \u{1B}[31m delete \u{7F} accent é emoji 🐢"
    let data = Data(JSONValue.array([.string(text)]).text().utf8)
    #expect(try JSONDecoder().decode([String].self, from: data) == [text])
    #expect(data.allSatisfy { $0 >= 0x20 })
  }

  @Test func numbersAreJSON() throws {
    let value: JSONValue = [.number(13), .number(1e300), .number(.infinity), .unsigned(.max)]
    #expect(value.text() == "[13.0,1e+300,null,18446744073709551615]")
  }
}

@Suite struct NumberTests {
  @Test func groupsOfThreeDigits() {
    #expect(
      [0, 999, 1000, 123456, 1_234_567].map { grouped($0) } == ["0", "999", "1,000", "123,456", "1,234,567"])
    #expect(grouped(.max) == "18,446,744,073,709,551,615")
  }

  @Test func decimalsAreFixed() {
    #expect(decimal(2, places: 2) == "2.00")
    #expect(decimal(0.005, places: 2) == "0.01")
    #expect(decimal(12.345678, places: 3) == "12.346")
    #expect(decimal(-0.001, places: 2) == "0.00")
    #expect(decimal(-1.5, places: 1) == "-1.5")
    #expect(decimal(99.96, places: 1) == "100.0")
    #expect(decimal(7.5, places: 0) == "8")
  }
}
