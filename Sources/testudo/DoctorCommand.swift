import ArgumentParser
import KVMProcessor
import Report

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Says what this host offers, and what to do about what is missing.")

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let host = Host.current()
    let findings = HostReport.findings(host)
    let calibration = try? host.calibration.get()
    if json {
      try Output.write(Self.json(findings, calibration).text(indent: 2) + "\n")
    } else {
      try Output.write(Self.text(findings) + (calibration.map(Self.text) ?? ""))
    }
  }

  static func text(_ findings: [Finding]) -> String {
    var table = TextTable(columns: [.init("what"), .init(""), .init("found")])
    for finding in findings { table.append([finding.subject, finding.verdict.rawValue, finding.found]) }
    let advice = findings.compactMap { finding in finding.advice.map { "\(finding.subject): \($0)\n" } }
    return table.rendered() + (advice.isEmpty ? "" : "\nWhat to do:\n" + advice.joined())
  }

  /// What the host's KVM was found to do.
  private static func text(_ calibration: KVMCalibration) -> String {
    var table = TextTable(columns: [.init("KVM, as calibrated by tiny guests"), .init("found")])
    for trait in calibration.traits { table.append([trait.subject, trait.found]) }
    var withheld = TextTable(columns: [
      .init("VMX capability that L1 is not offered on KVM"), .init("because"),
    ])
    for capability in calibration.withheld { withheld.append([capability.capability, capability.reason]) }
    return "\n" + table.rendered()
      + (calibration.withheld.isEmpty
        ? "\nL1 is offered every VMX capability of the software processor.\n" : "\n" + withheld.rendered())
  }

  private static func json(_ findings: [Finding], _ calibration: KVMCalibration?) -> JSONValue {
    [
      "schema": "testudo.doctor/1",
      "findings": .array(
        findings.map { finding in
          [
            "subject": .string(finding.subject), "verdict": .string(finding.verdict.rawValue),
            "found": .string(finding.found), "advice": finding.advice.map(JSONValue.string) ?? .null,
          ]
        }),
      "calibration": calibration.map { calibration in
        .array(
          calibration.traits.map { trait in
            ["subject": .string(trait.subject), "found": .string(trait.found)]
          })
      } ?? .null,
      "withheld": calibration.map { calibration in
        .array(
          calibration.withheld.map { withheld in
            ["capability": .string(withheld.capability), "reason": .string(withheld.reason)]
          })
      } ?? .null,
    ]
  }
}
