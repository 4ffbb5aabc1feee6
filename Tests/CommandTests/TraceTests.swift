import Foundation
import Testing

/// `testudo run --trace`, `stat` and `trace`, as a user runs them.
@Suite struct TraceTests {
  /// A trace of a run, in a folder of its own.
  private static func withTrace(_ body: (URL, [String: Any]) throws -> Void) throws {
    try TemporaryFolder.with { folder in
      let run = try Command.run(
        ["run", "minimal", "--iterations", "50", "--json", "--trace", "run.trace"], in: folder)
      #expect(run.status == 0, "\(run.errors)")
      try body(folder, try run.json())
    }
  }

  @Test func statAddsUpToTheRun() throws {
    try Self.withTrace { folder, run in
      let result = try Command.run(["stat", "run.trace", "--json"], in: folder)
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.errors.isEmpty)
      let stat = try result.json()
      #expect(stat["schema"] as? String == "testudo.stat/1")
      #expect(stat["complete"] as? Bool == true)
      let exits = try #require(stat["exits"] as? [[String: Any]])
      let runExits = try #require(run["exits"] as? [[String: Any]])
      #expect(exits.count == runExits.count)
      #expect(
        exits.reduce(0) { $0 + ($1["count"] as? Int ?? 0) }
          == runExits.reduce(0) { $0 + ($1["count"] as? Int ?? 0) })
      let phases = try #require(stat["phases"] as? [String: Int])
      #expect(phases.values.reduce(0, +) == run["virtualCycles"] as? Int)
      #expect(stat["virtualCycles"] as? Int == run["virtualCycles"] as? Int)
      let multiplication = try #require(stat["multiplication"] as? [String: Any])
      let runMultiplication = try #require(run["multiplication"] as? [String: Any])
      #expect(multiplication["hardwareExits"] as? Int == runMultiplication["hardwareExits"] as? Int)
      let fields = try #require(stat["fields"] as? [[String: Any]])
      #expect(fields.first?["field"] as? String == "GUEST_RIP")
    }
  }

  @Test func statForPeopleNamesLevelsPhasesAndFields() throws {
    try Self.withTrace { folder, _ in
      let text = try Command.run(["stat", "run.trace"], in: folder).output
      for word in ["Exits of L2", "Exits of L1", "CPUID", "Samples%", "vmcs02 ↔ vmcs12", "EXIT_REASON"] {
        #expect(text.contains(word), "'\(word)' is missing in:\n\(text)")
      }
    }
  }

  /// With several virtual CPUs: the phases of the whole and of each CPU add up to the run's virtual time, and the trees
  /// are the run's.
  @Test func statOfSeveralProcessorsAddsUpToTheRun() throws {
    try TemporaryFolder.with { folder in
      let result = try Command.run(
        ["run", "minimal", "--iterations", "50", "--cpus", "3", "--json", "--trace", "run.trace"], in: folder)
      #expect(result.status == 0, "\(result.errors)")
      let run = try result.json()
      let stat = try Command.run(["stat", "run.trace", "--json"], in: folder).json()
      let cycles = try #require(run["virtualCycles"] as? Int)
      let phases = try #require(stat["phases"] as? [String: Int])
      #expect(phases.values.reduce(0, +) == cycles)
      #expect(phases["idle"] == run["idleCycles"] as? Int)
      for own in try #require(stat["processors"] as? [[String: Int]]) {
        #expect(own.values.reduce(0, +) == cycles)
      }
      let trees = try #require(stat["multiplication"] as? [String: Any])
      let runTrees = try #require(run["multiplication"] as? [String: Any])
      #expect(trees["hardwareExits"] as? Int == runTrees["hardwareExits"] as? Int)
      #expect(trees["l2Exits"] as? Int == 50)
    }
  }

  /// What one L2 exit is made of: counts times prices, and instructions, is what it took.
  @Test func theArithmeticOfAnExitIsExact() throws {
    try Self.withTrace { folder, run in
      let stat = try Command.run(["stat", "run.trace", "--json"], in: folder).json()
      let sums = try #require(stat["perL2Exit"] as? [String: Any])
      let counts = try #require(sums["counts"] as? [String: Int])
      let prices = try #require(stat["prices"] as? [String: [String: Int]])
      let paid = counts.reduce(0) { $0 + $1.value * (prices[$1.key]?["price"] ?? 0) }
      #expect(sums["trees"] as? Int == 50)
      #expect(paid + (sums["instructionsAndIdle"] as? Int ?? 0) == sums["cycles"] as? Int)
      #expect(paid > (sums["instructionsAndIdle"] as? Int ?? 0))
      let walks = try #require(stat["pageWalks"] as? [[String: Any]])
      let runWalks = try #require(run["pageWalks"] as? [[String: Any]])
      #expect(walks.map { $0["byReferences"] as? [Int] } == runWalks.map { $0["byReferences"] as? [Int] })
      #expect(walks.allSatisfy { ($0["walks"] as? Int ?? 0) > 0 })
    }
  }

  @Test func theSensitivityNamesTheDearestPriceFirst() throws {
    try Self.withTrace { folder, _ in
      let lines = try Command.run(["stat", "run.trace", "--sensitivity"], in: folder).output.split(
        separator: "\n")
      #expect(lines.count > 5)
      #expect(lines[2].hasPrefix("vmExit"))
      #expect(lines[2].contains("derived"))
    }
  }

  @Test(arguments: ["chrome", "perfetto", "csv", "kvm"])
  func everyFormatIsWritten(_ format: String) throws {
    try Self.withTrace { folder, _ in
      let toFile = try Command.run(
        ["trace", "export", "run.trace", "--format", format, "--output", "out"], in: folder)
      #expect(toFile.status == 0, "\(toFile.errors)")
      let written = try Data(contentsOf: folder.appendingPathComponent("out"))
      #expect(written.count > 1000)
      if format == "chrome" { #expect(try JSONSerialization.jsonObject(with: written) is [String: Any]) }
      guard format != "perfetto" else { return }
      let toOutput = try Command.run(["trace", "export", "run.trace", "--format", format], in: folder)
      #expect(toOutput.output == String(decoding: written, as: UTF8.self))
    }
  }

  @Test func aCutTraceIsReadWithAWarning() throws {
    try Self.withTrace { folder, _ in
      let file = folder.appendingPathComponent("run.trace")
      let whole = try Data(contentsOf: file)
      try whole.dropLast(10).write(to: file)
      let result = try Command.run(["trace", "show", "run.trace"], in: folder)
      #expect(result.status == 0)
      #expect(result.errorLines.count == 1)
      #expect(result.errors.contains("is cut"))
      #expect(result.output.contains("workload: cpuid"))
    }
  }

  @Test func whatIsNoTraceIsRefused() throws {
    try TemporaryFolder.with { folder in
      try "nothing of the kind".write(
        to: folder.appendingPathComponent("a.trace"), atomically: true, encoding: .utf8)
      for (arguments, status) in [
        (["stat", "a.trace"], 65), (["stat", "none.trace"], 66), (["trace", "show", "."], 65),
        (["trace", "export", "a.trace", "--format", "word"], 64),
      ] {
        let result = try Command.run(arguments, in: folder)
        #expect(result.status == Int32(status), "\(arguments): \(result.errors)")
        #expect(result.errorLines.count == 1)
      }
    }
  }
}
