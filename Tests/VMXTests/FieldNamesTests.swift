import Foundation
import Testing
import VMX

@Suite struct FieldNamesTests {
  private func source(_ name: String) throws -> String {
    let tests = URL(filePath: #filePath).deletingLastPathComponent()
    return try String(contentsOf: tests.appending(path: "../../Sources/VMX/\(name)"), encoding: .utf8)
  }

  /// A constant without a row would have no name, and its slot no field.
  @Test func everyConstantHasARowAndEveryRowAConstant() throws {
    let constants = try source("VMCSField+Encodings.swift").matches(of: /static var (\w+): Self/).map { $0.1 }
    let rows = try source("VMCSField+Rows.swift").matches(of: /VMCSFieldRow\(\s*\.(\w+),/).map { $0.1 }
    #expect(constants.count == VMCSField.count)
    #expect(constants == rows)
  }
}
