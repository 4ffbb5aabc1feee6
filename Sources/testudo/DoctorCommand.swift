import ArgumentParser
import Report

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Says what this host offers, and what to do about what is missing.")

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let findings = HostReport.findings(Host.current())
    try Output.write(json ? Self.json(findings).text(indent: 2) + "\n" : Self.text(findings))
  }

  static func text(_ findings: [Finding]) -> String {
    var table = TextTable(columns: [.init("what"), .init(""), .init("found")])
    for finding in findings { table.append([finding.subject, finding.verdict.rawValue, finding.found]) }
    let advice = findings.compactMap { finding in finding.advice.map { "\(finding.subject): \($0)\n" } }
    return table.rendered() + (advice.isEmpty ? "" : "\nWhat to do:\n" + advice.joined())
  }

  private static func json(_ findings: [Finding]) -> JSONValue {
    [
      "schema": "testudo.doctor/1",
      "findings": .array(
        findings.map { finding in
          [
            "subject": .string(finding.subject), "verdict": .string(finding.verdict.rawValue),
            "found": .string(finding.found), "advice": finding.advice.map(JSONValue.string) ?? .null,
          ]
        }),
    ]
  }
}
