import Foundation
import Testing

/// VMCS dumps, from the run that writes them to the commands that read them.
@Suite struct VMCSTests {
  /// The mistakes that `minimal` can be told to make in its vmcs12, with what VMLAUNCH then does.
  static let mistakes: [(String, String, [String: Int])] = [
    ("virtual-nmis", "VMfailValid", ["vmInstructionError": 7]),
    ("unrestricted-guest", "VMfailValid", ["vmInstructionError": 7]),
    ("reserved-control", "VMfailValid", ["vmInstructionError": 7]),
    ("host-cr4", "VMfailValid", ["vmInstructionError": 8]),
    ("guest-rflags", "entryFailure", ["exitReason": 33, "exitQualification": 0]),
  ]

  /// What L0 found wrong during the run is what `check` finds in the dump.
  @Test(arguments: mistakes)
  func checkFindsInTheDumpWhatTheRunFound(_ mistake: String, _ kind: String, _ numbers: [String: Int]) throws
  {
    try TemporaryFolder.with { folder in
      let run = try Command.run(
        [
          "run", "minimal", "--iterations", "1", "--cmdline", "broken=\(mistake)", "--dump-vmcs", "dumps",
          "--json",
        ], in: folder)
      #expect(run.status == 1, "\(run.errors)")
      #expect(try Self.files(folder) == ["failure.vmcs01.json", "failure.vmcs12.json"])
      let found = try #require(try run.json()["entryFailures"] as? [[String: String]])
      #expect(!found.isEmpty)

      let check = try Command.run(["check", "dumps/failure.vmcs12.json", "--json"], in: folder)
      #expect(check.status == 1)
      #expect(check.errorLines.count == 1, "\(check.errors)")
      let json = try check.json()
      #expect(json["enters"] as? Bool == false)
      let violations = try #require(json["violations"] as? [[String: String]])
      #expect(violations == found.map { $0.filter { $0.key != "consequence" } })
      var outcome = try #require(json["outcome"] as? [String: Any])
      #expect(outcome.removeValue(forKey: "kind") as? String == kind)
      #expect(outcome as? [String: Int] == numbers)

      let text = try Command.run(["check", "dumps/failure.vmcs12.json"], in: folder)
      for key in ["check", "field", "expected", "section"] {
        #expect(text.output.contains(violations[0][key] ?? "nothing"), "\(text.output)")
      }
    }
  }

  /// vmcs02, as L0 entered L2 with it, is the merge of the vmcs01 and vmcs12 of that VM entry, field by field.
  @Test(arguments: RunTests.exitingWorkloads, ["off", "hardware"])
  func mergeOfTheDumpsIsVMCS02(_ workload: String, _ shadowing: String) throws {
    try TemporaryFolder.with { folder in
      let run = try Command.run(
        [
          "run", "minimal", "--workload", workload, "--iterations", "5", "--vmcs-access", shadowing,
          "--dump-vmcs",
          "dumps", "--dump-at", "entry:1", "--dump-at", "entry:4",
        ], in: folder)
      #expect(run.status == 0, "\(run.errors)")
      for moment in ["entry-1", "entry-4"] {
        let merge = try Command.run(
          ["vmcs", "merge", "dumps/\(moment).vmcs01.json", "dumps/\(moment).vmcs12.json", "--json"],
          in: folder)
        #expect(merge.status == 0, "\(merge.errors)")
        let rows = try #require(try merge.json()["fields"] as? [[String: Any]])
        let vmcs02 = try Self.fields(folder, "\(moment).vmcs02")
        var compared = 0
        for row in rows {
          let field = try #require(row["field"] as? String)
          #expect(row["known"] as? Bool == true)
          guard row["rule"] as? String != "absent" else {
            // Nobody has written the VM-exit information before the first VM exit.
            #expect(moment != "entry-1" || vmcs02[field] ?? "0x0" == "0x0", "\(field)")
            continue
          }
          #expect(row["vmcs02"] as? String == vmcs02[field] ?? "0x0", "\(moment) \(field)")
          compared += 1
        }
        #expect(compared > 100)
        #expect(Set(vmcs02.keys).isSubset(of: rows.compactMap { $0["field"] as? String }))
        // What the software processor entered passes its own checks.
        for kind in ["vmcs01", "vmcs12", "vmcs02"] {
          let check = try Command.run(["check", "dumps/\(moment).\(kind).json"], in: folder)
          #expect(check.status == 0, "\(check.output)")
        }
      }
    }
  }

  @Test func dumpsAreTakenAtTheMomentsAskedFor() throws {
    try TemporaryFolder.with { folder in
      let plain = ["run", "minimal", "--workload", "cpuid", "--iterations", "3", "--json"]
      let run = try Command.run(
        plain + ["--dump-vmcs", "a/dumps", "--dump-at", "exit:2", "--dump-at", "entry:99"], in: folder)
      #expect(run.status == 0, "\(run.errors)")
      let kinds = ["vmcs01", "vmcs02", "vmcs12"]
      #expect(try Self.files(folder, "a/dumps") == kinds.map { "exit-2.\($0).json" })
      // L1 sees the exit in its vmcs12 as the processor reported it in vmcs02: CPUID is 10.
      for kind in ["vmcs12", "vmcs02"] {
        #expect(try Self.fields(folder, "exit-2.\(kind)", "a/dumps")["EXIT_REASON"] == "0xa")
      }
      // Looking changes nothing.
      let unseen = try Command.run(plain, in: folder).json()
      let seen = try run.json()
      #expect(seen["virtualCycles"] as? Int == unseen["virtualCycles"] as? Int)

      // The default: the last exit is the hypercall that ends L2; no VM entry failed.
      _ = try Command.run(plain + ["--dump-vmcs", "dumps"], in: folder)
      #expect(try Self.files(folder) == kinds.map { "last.\($0).json" })
      #expect(try Self.fields(folder, "last.vmcs12")["EXIT_REASON"] == "0x12")
      // Again into the same folder, which exists now; L2 runs when the run ends.
      _ = try Command.run(
        ["run", "minimal", "--workload", "none", "--limit-instructions", "20000", "--dump-vmcs", "dumps"],
        in: folder)
      #expect(try Self.files(folder) == kinds.map { "last.\($0).json" })
    }
  }

  @Test func showAndDiffTellWhatFieldsMean() throws {
    try TemporaryFolder.with { folder in
      _ = try Command.run(
        [
          "run", "minimal", "--workload", "memory", "--iterations", "2", "--dump-vmcs", "dumps", "--dump-at",
          "entry:1", "--dump-at", "exit:1",
        ], in: folder)
      let show = try Command.run(["vmcs", "show", "dumps/exit-1.vmcs12.json"], in: folder)
      #expect(show.status == 0, "\(show.errors)")
      for words in ["EPT_VIOLATION", "data read", "64-bit", "HLT exiting", "4 levels", "PE | ET | NE | PG"] {
        #expect(show.output.contains(words), "\(words)")
      }
      let same = ["dumps/entry-1.vmcs12.json", "dumps/entry-1.vmcs12.json"]
      #expect(try Command.run(["vmcs", "diff"] + same, in: folder).output == "no field differs\n")
      let pair = ["dumps/entry-1.vmcs12.json", "dumps/exit-1.vmcs12.json"]
      let diff = try Command.run(["vmcs", "diff"] + pair, in: folder)
      #expect(diff.status == 0)
      #expect(diff.output.contains("EXIT_QUALIFICATION"))
      #expect(!diff.output.contains("HOST_RIP"))
      let changes = try Command.run(["vmcs", "diff", "--json"] + pair, in: folder).json()["changes"]
      #expect((changes as? [[String: Any]])?.contains { $0["field"] as? String == "EXIT_REASON" } == true)
      let merge = try Command.run(
        ["vmcs", "merge", "dumps/entry-1.vmcs01.json", "dumps/entry-1.vmcs12.json"], in: folder)
      #expect(merge.output.contains(/External-interrupt exiting +1 +0 +1 +L0\n/))
    }
  }

  /// A dump that somebody wrote by hand is judged as L1's on the software processor.
  @Test func handwrittenDumpIsChecked() throws {
    try TemporaryFolder.with { folder in
      try #"{"schema": "testudo.vmcs/1", "fields": {"GUEST_CR0": "0x80000031", "GUEST_CR4": "0x2020"}}"#
        .write(
          to: folder.appendingPathComponent("mine.json"), atomically: true, encoding: .utf8)
      let result = try Command.run(["check", "mine.json"], in: folder)
      #expect(result.status == 1)
      for words in [
        "Pin-based controls are allowed", "must be 1: bit 1, reserved", "not checked, needs memory: PDPTE 0",
        "VMfailValid(7)",
      ] {
        #expect(result.output.contains(words), "\(result.output)")
      }
    }
  }

  @Test(
    arguments: [
      ("not JSON", ["line 1", "not JSON", "testudo.vmcs/1"]),
      (#"{"schema": "testudo.run/1"}"#, ["testudo.run/1", "expected \"testudo.vmcs/1\""]),
      (
        #"{"schema": "testudo.vmcs/1", "fields": {"GUEST_RPI": "0x1"}}"#,
        ["GUEST_RPI", "did you mean GUEST_RIP"]
      ),
      (#"{"schema": "testudo.vmcs/1", "fields": {"VPID": "0x12345"}}"#, ["VPID is \"0x12345\"", "16 bits"]),
    ] as [(String, [String])])
  func malformedDumpIsOneLine(_ text: String, _ words: [String]) throws {
    try TemporaryFolder.with { folder in
      try text.write(to: folder.appendingPathComponent("odd.json"), atomically: true, encoding: .utf8)
      for command in [
        ["check", "odd.json"], ["vmcs", "show", "odd.json"], ["vmcs", "diff", "odd.json", "odd.json"],
        ["vmcs", "merge", "odd.json", "odd.json"],
      ] {
        let result = try Command.run(command, in: folder)
        #expect(result.status == 65)
        #expect(result.output.isEmpty)
        #expect(result.errorLines.count == 1)
        for word in ["odd.json"] + words { #expect(result.errors.contains(word), "\(result.errors)") }
      }
    }
  }

  @Test func mergeWantsItsFilesInOrder() throws {
    try TemporaryFolder.with { folder in
      for kind in ["vmcs01", "vmcs12"] {
        try #"{"schema": "testudo.vmcs/1", "kind": "\#(kind)", "fields": {}}"#.write(
          to: folder.appendingPathComponent("\(kind).json"), atomically: true, encoding: .utf8)
      }
      let result = try Command.run(["vmcs", "merge", "vmcs12.json", "vmcs01.json"], in: folder)
      #expect(result.status == 65)
      #expect(result.errors.contains("vmcs12.json: a dump of vmcs12: expected one of vmcs01"))
      let right = try Command.run(["vmcs", "merge", "vmcs01.json", "vmcs12.json"], in: folder)
      #expect(right.status == 0)
      #expect(right.output.contains("?: L0 prepares this"))
    }
  }

  // MARK: Files

  private static func files(_ folder: URL, _ name: String = "dumps") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(name).path).sorted()
  }

  private static func fields(_ folder: URL, _ name: String, _ place: String = "dumps") throws -> [String:
    String]
  {
    let data = try Data(contentsOf: folder.appendingPathComponent("\(place)/\(name).json"))
    let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(json["schema"] as? String == "testudo.vmcs/1")
    return try #require(json["fields"] as? [String: String])
  }
}
