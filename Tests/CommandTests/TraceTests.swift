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
