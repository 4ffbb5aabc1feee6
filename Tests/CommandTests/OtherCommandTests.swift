import Foundation
import Testing

@Suite struct OtherCommandTests {
  @Test func helpNamesEverySubcommandAndStatus() throws {
    let result = try Command.run("--help")
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    for word in [
      "run", "check", "vmcs", "guests", "doctor", "experiment", "papers", "EXIT STATUS", " 66 ", "124",
    ] {
      #expect(result.output.contains(word))
    }
  }

  /// The README's table of exit statuses, and its table of options, are those of the program.
  @Test func readmeTellsWhatTheHelpTells() throws {
    let readme = try String(
      contentsOf: Command.packageRoot.appendingPathComponent("README.md"), encoding: .utf8)
    let text = readme.filter { $0 != "`" }
    let help = try Command.run("--help").output
    let statuses = help.matches(of: #/\n +(\d+)  ([^\n]+)/#)
    #expect(statuses.count == 14)
    for status in statuses { #expect(text.contains("| \(status.1) | \(status.2) |"), "\(status.0)") }
    let options = try Command.run("run", "--help").output.matches(of: #/--[a-z-]+/#).map { String($0.output) }
    #expect(options.count > 8)
    for option in Set(options).subtracting(["--help", "--version"]) {
      #expect(text.contains(option), "\(option)")
    }
  }

  @Test func versionIsThatOfTheChangelog() throws {
    let version = try Command.run("--version").output.trimmingCharacters(in: .newlines)
    let changelog = try String(
      contentsOf: Command.packageRoot.appendingPathComponent("CHANGELOG.md"), encoding: .utf8)
    #expect(version.contains("."))
    #expect(changelog.contains("## \(version)"))
  }

  @Test func guestsAndWorkloadsAreListed() throws {
    let text = try Command.run("guests")
    #expect(text.status == 0)
    for word in [
      "minimal", "minimal-broken", "cpuid", "hypercall", "io", "msr", "hlt", "memory", "interrupt", "none",
    ] {
      #expect(text.output.contains(word))
    }
    let json = try Command.run("guests", "--json").json()
    let guests = try #require(json["guests"] as? [[String: Any]])
    #expect(guests.compactMap { $0["name"] as? String } == ["minimal", "minimal-broken"])
    #expect(guests.allSatisfy { ($0["bytes"] as? Int ?? 0) > 1000 })
  }

  @Test func doctorAlwaysHasAProcessor() throws {
    let result = try Command.run("doctor")
    #expect(result.status == 0)
    for word in ["CPU", "software processor", "/dev/kvm", "memory"] { #expect(result.output.contains(word)) }
    let findings = try #require(try Command.run("doctor", "--json").json()["findings"] as? [[String: Any]])
    #expect(
      findings.contains {
        $0["subject"] as? String == "software processor" && $0["verdict"] as? String == "yes"
      })
    // Whatever is missing comes with what to do about it.
    #expect(findings.allSatisfy { $0["verdict"] as? String != "no" || $0["advice"] is String })
  }

  @Test func papersAreListedAndShown() throws {
    let list = try Command.run(["papers"], in: Command.packageRoot)
    #expect(list.output.contains("turtles-osdi10"))
    let paper = try Command.run(["papers", "turtles-osdi10", "--directory", Command.packageRoot.path])
    #expect(paper.status == 0)
    #expect(paper.output.contains("exit-multiplication"))
  }

  @Test func experimentReproducesItsRecord() throws {
    try TemporaryFolder.with { folder in
      let result = try Command.run([
        "experiment", "run", "exit-multiplication", "--check", "--directory", Command.packageRoot.path,
        "--output",
        folder.path,
      ])
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains("equal to the recorded"))
      for file in ["result.csv", "result.svg"] {
        let recorded = Command.packageRoot.appendingPathComponent("Experiments/exit-multiplication/\(file)")
        #expect(try Data(contentsOf: folder.appendingPathComponent(file)) == Data(contentsOf: recorded))
      }
    }
  }

  @Test func checkFindsAChangedRecord() throws {
    try TemporaryFolder.with { folder in
      let source = Command.packageRoot.appendingPathComponent("Experiments/exit-multiplication")
      let copy = folder.appendingPathComponent("exit-multiplication")
      try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
      let manifest = try String(contentsOf: source.appendingPathComponent("manifest.yaml"), encoding: .utf8)
      try manifest.replacingOccurrences(of: "iterations: 1000", with: "iterations: 10").write(
        to: copy.appendingPathComponent("manifest.yaml"), atomically: true, encoding: .utf8)
      try FileManager.default.copyItem(
        at: source.appendingPathComponent("result.csv"), to: copy.appendingPathComponent("result.csv"))
      let result = try Command.run(["experiment", "run", copy.path, "--check"])
      #expect(result.status == 65)
      #expect(result.errors.contains("row 1, iterations: 10, recorded is 1000"), "\(result.errors)")
    }
  }
}
