import Foundation
import Testing

/// `testudo run minimal`, as a user runs it.
@Suite struct RunTests {
  static let exitingWorkloads = ["cpuid", "hypercall", "io", "msr", "hlt", "memory", "interrupt"]
  /// The exit reason that each workload's iterations cause.
  static let reasons = [
    "cpuid": ["CPUID"], "hypercall": ["VMCALL"], "io": ["IO_INSTRUCTION"], "msr": ["RDMSR", "WRMSR"],
    "hlt": ["HLT"], "memory": ["EPT_VIOLATION"],
    "interrupt": ["EXTERNAL_INTERRUPT"],
  ]

  @Test func textHasSerialOutputTableAndMultiplication() throws {
    let result = try Command.run("run", "minimal", "--workload", "cpuid", "--iterations", "100")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    let order = [
      "cpuid", "from", "CPUID", "VMREAD", "total", "multiplication: 100 L2 exits", "reported success",
    ]
    var rest = result.output[...]
    for word in order {
      guard let range = rest.range(of: word) else {
        Issue.record("'\(word)' is missing or in the wrong place in:\n\(result.output)")
        return
      }
      rest = rest[range.upperBound...]
    }
  }

  @Test func thousandIterationsAreAThousandExits() throws {
    let result = try Command.run("run", "minimal", "--workload", "cpuid", "--iterations", "1000", "--json")
    #expect(result.status == 0, "\(result.errors)")
    let json = try result.json()
    #expect(json["schema"] as? String == "testudo.run/1")
    #expect(json["guest"] as? String == "minimal")
    #expect(json["workload"] as? String == "cpuid")
    #expect(json["iterations"] as? Int == 1000)
    #expect(json["processor"] as? String == "software")
    #expect((json["instructions"] as? Int ?? 0) > 10_000)
    #expect((json["virtualCycles"] as? Int ?? 0) > (json["instructions"] as? Int ?? .max))
    #expect((json["hostSeconds"] as? Double ?? 0) > 0)
    #expect(try Exits(json).count(from: "L2", "CPUID", routedTo: "L1") == 1000)
    let multiplication = try #require(json["multiplication"] as? [String: Any])
    let l2Exits = try #require(multiplication["l2Exits"] as? Double)
    let hardwareExits = try #require(multiplication["hardwareExits"] as? Double)
    #expect(l2Exits == 1000)
    #expect(multiplication["perL2Exit"] as? Double == hardwareExits / l2Exits)
    #expect(hardwareExits / l2Exits > 5)
  }

  @Test(arguments: exitingWorkloads, ["off", "hardware"])
  func everyWorkloadRuns(_ workload: String, _ shadowing: String) throws {
    let result = try Command.run(
      "run", "minimal", "--workload", workload, "--iterations", "50", "--vmcs-access", shadowing, "--json")
    #expect(result.status == 0, "\(result.errors)")
    let exits = try Exits(try result.json())
    let counts = (Self.reasons[workload] ?? []).map { exits.count(from: "L2", $0, routedTo: "L1") }
    // The hypercall that ends L2 comes on top.
    #expect(counts.reduce(0, +) == (workload == "hypercall" ? 51 : 50))
    #expect(exits.count(from: "L1", "VMREAD", routedTo: "L0") == 0 || shadowing == "off")
  }

  @Test func noneHasNoExitButTheLast() throws {
    let result = try Command.run("run", "minimal", "--workload", "none", "--iterations", "2", "--json")
    #expect(result.status == 0, "\(result.errors)")
    let json = try result.json()
    #expect(try Exits(json).rows.filter { $0.from == "L2" && $0.routedTo == "L1" }.map(\.count) == [1])
    #expect((json["multiplication"] as? [String: Any])?["l2Exits"] as? Int == 0)
    #expect((json["multiplication"] as? [String: Any])?["perL2Exit"] as? Double == 0)
  }

  @Test func equalRunsGiveEqualOutput() throws {
    let outputs = try (0..<2).map { _ in
      try Command.run("run", "minimal", "--workload", "memory", "--iterations", "100", "--json").output
        .split(separator: "\n").filter { !$0.contains("\"hostSeconds\"") }
    }
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0].count > 20)
  }

  @Test func keysStandInTheOrderOfTheSchema() throws {
    let output = try Command.run("run", "minimal", "--iterations", "1", "--json").output
    let keys = output.split(separator: "\n").compactMap { line in
      line.hasPrefix("  \"") ? line.split(separator: "\"")[1] : nil
    }
    #expect(keys.first == "schema")
    let wanted: [Substring] = [
      "guest", "workload", "iterations", "processor", "instructions", "virtualCycles", "hostSeconds", "exits",
      "multiplication",
    ]
    #expect(keys.filter(wanted.contains) == wanted)
    #expect(try Self.keysInREADME() == keys)
  }

  /// The first column of the README's table of the JSON object.
  private static func keysInREADME() throws -> [Substring] {
    let readme = try String(
      contentsOf: Command.packageRoot.appendingPathComponent("README.md"), encoding: .utf8)
    let section = try #require(readme.components(separatedBy: "### The JSON object\n").last)
    let rows = section.components(separatedBy: "\n### ")[0].split(separator: "\n").filter {
      $0.hasPrefix("| `")
    }
    return rows.flatMap { row in
      row.split(separator: "|")[0].split(separator: "`").filter { $0.allSatisfy(\.isLetter) }
    }
  }

  @Test func exitsAreSortedAndAddUp() throws {
    let exits = try Exits(try Command.run("run", "minimal", "--iterations", "20", "--json").json())
    let order = exits.rows.map { ($0.from == "L2" ? 0 : 1, -$0.count) }
    #expect(zip(order, order.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(exits.rows.allSatisfy { $0.cycles > 0 })
  }

  @Test func serialOutputOfAJSONRunGoesToStandardError() throws {
    let result = try Command.run("run", "minimal", "--iterations", "1", "--json")
    let serial = try #require(try result.json()["serial"] as? String)
    #expect(!serial.isEmpty)
    #expect(result.errors.hasPrefix(serial))
  }

  @Test func commandLineReachesTheGuest() throws {
    let result = try Command.run("run", "minimal", "--cmdline", "nonsense=1", "--json")
    #expect(result.status == 1)
    #expect(result.errors.contains("unknown option"))
    #expect(try result.json()["commandLine"] as? String == "nonsense=1 workload=cpuid iterations=1000")
  }

  /// What the command line says goes before the defaults, and what options say before the command line.
  @Test(
    arguments: [
      (["--cmdline", "workload=io iterations=3"], "io", 3, "workload=io iterations=3"),
      (
        ["--cmdline", "workload=io", "--workload", "msr", "--iterations", "2"], "msr", 2,
        "workload=io workload=msr iterations=2"
      ),
    ])
  func commandLineGoesBeforeDefaults(
    _ options: [String], _ workload: String, _ iterations: Int, _ commandLine: String
  ) throws {
    let result = try Command.run(["run", "minimal", "--json"] + options)
    #expect(result.status == 0, "\(result.errors)")
    let json = try result.json()
    #expect(json["workload"] as? String == workload)
    #expect(json["iterations"] as? Int == iterations)
    #expect(json["commandLine"] as? String == commandLine)
    #expect((json["serial"] as? String)?.contains("workload \(workload), iterations \(iterations)\n") == true)
  }

  @Test func brokenGuestIsExplained() throws {
    let result = try Command.run("run", "minimal-broken", "--iterations", "1")
    #expect(result.status == 1)
    for words in [
      "VM entry of L1 failed with VMfailValid(7)", "= 0x", "expected", "SDM, \"VM-Execution Control Fields\"",
    ] {
      #expect(result.output.contains(words), "\(result.output)")
    }
    let json = try Command.run("run", "minimal-broken", "--iterations", "1", "--json").json()
    let failure = try #require((json["entryFailures"] as? [[String: String]])?.first)
    #expect(Set(failure.keys) == ["check", "field", "value", "expected", "section", "consequence"])
    #expect(failure.values.allSatisfy { !$0.isEmpty })
    #expect(json["failedEntries"] as? Int == 1)
  }

  @Test func traceHasEveryExit() throws {
    try TemporaryFolder.with { folder in
      let result = try Command.run(
        ["run", "minimal", "--iterations", "30", "--json", "--trace", "trace.json"], in: folder)
      #expect(result.status == 0, "\(result.errors)")
      let data = try Data(contentsOf: folder.appendingPathComponent("trace.json"))
      let trace = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      let events = try #require(trace["traceEvents"] as? [[String: Any]])
      let exits = events.filter { $0["ph"] as? String == "X" }
      #expect(exits.count == (try Exits(try result.json())).rows.map(\.count).reduce(0, +))
      #expect(
        exits.allSatisfy {
          ($0["dur"] as? Double ?? -1) >= 0 && $0["ts"] is Double && $0["args"] is [String: Any]
        })
      #expect(exits.filter { $0["tid"] as? Int == 2 && $0["name"] as? String == "CPUID" }.count == 30)
      let tracks = events.filter { $0["name"] as? String == "thread_name" }.compactMap { $0["tid"] as? Int }
      #expect(tracks.sorted() == [0, 1, 2])
    }
  }

  @Test func traceChangesNothingElse() throws {
    try TemporaryFolder.with { folder in
      let plain = try Exits(try Command.run(["run", "minimal", "--iterations", "30", "--json"]).json())
      let traced = try Exits(
        try Command.run(["run", "minimal", "--iterations", "30", "--json", "--trace", "t.json"], in: folder)
          .json())
      #expect(plain.rows == traced.rows)
    }
  }
}

/// The array `exits` of a run's JSON object.
private struct Exits {
  struct Row: Equatable {
    var from: String
    var reason: String
    var routedTo: String
    var count: Int
    var cycles: Int
  }

  var rows: [Row]

  init(_ json: [String: Any]) throws {
    let array = try #require(json["exits"] as? [[String: Any]])
    rows = try array.map { row in
      #expect(Set(row.keys) == ["from", "reason", "routedTo", "count", "cycles"])
      return Row(
        from: try #require(row["from"] as? String), reason: try #require(row["reason"] as? String),
        routedTo: try #require(row["routedTo"] as? String), count: try #require(row["count"] as? Int),
        cycles: try #require(row["cycles"] as? Int))
    }
  }

  func count(from: String, _ reason: String, routedTo: String) -> Int {
    rows.filter { $0.from == from && $0.reason == reason && $0.routedTo == routedTo }.map(\.count).reduce(
      0, +)
  }
}
