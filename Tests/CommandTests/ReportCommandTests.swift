import Foundation
import Testing

/// `testudo report`, as a user runs it.
@Suite struct ReportCommandTests {
  /// Two traces, of VMCS shadowing off and on, in a folder of their own.
  private static func withTraces(_ body: (URL) throws -> Void) throws {
    try TemporaryFolder.with { folder in
      for (model, file) in [("off", "off.trace"), ("hardware", "on.trace")] {
        let run = try Command.run(
          ["run", "minimal", "--iterations", "40", "--vmcs-access", model, "--trace", file], in: folder)
        #expect(run.status == 0, "\(run.errors)")
      }
      try body(folder)
    }
  }

  private static func page(_ arguments: [String], in folder: URL) throws -> String {
    let result = try Command.run(["report"] + arguments + ["--html", "page.html"], in: folder)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.isEmpty)
    return try String(contentsOf: folder.appendingPathComponent("page.html"), encoding: .utf8)
  }

  /// The JSON object that the page's script works on.
  private static func data(of page: String) throws -> [String: Any] {
    let match = try #require(
      page.firstMatch(of: #/<script type="application\/json" id="data">(.*?)<\/script>/#))
    return try #require(try JSONSerialization.jsonObject(with: Data(match.1.utf8)) as? [String: Any])
  }

  @Test func thePageIsOneFileThatNeedsNothingElse() throws {
    try Self.withTraces { folder in
      let page = try Self.page(["off.trace"], in: folder)
      #expect(page.contains("default-src 'none'"))
      // The name of SVG is no reference.
      let references = page.replacingOccurrences(of: "http://www.w3.org/2000/svg", with: "")
      for reference in ["http://", "https://", "src=", "url(", "@import"] {
        #expect(!references.contains(reference), "\(reference)")
      }
      for word in [
        "Storyboard", "Exits by reason and level", "Virtual time by phase", "Merge", "prefers-color-scheme",
      ] {
        #expect(page.contains(word), "\(word)")
      }
      #expect(try Self.page(["off.trace"], in: folder) == page)
    }
  }

  @Test func aReportForProgramsHasWhatTheTextHas() throws {
    try Self.withTraces { folder in
      let report = try Command.run(["report", "off.trace", "--json"], in: folder).json()
      #expect(report["schema"] as? String == "testudo.study/1")
      let reasons = try #require(report["reasons"] as? [[String: Any]])
      #expect(reasons.first?["reason"] as? String == "CPUID")
      #expect(reasons.first?["trees"] as? Int == 40)
      let merge = try #require(report["merge"] as? [String: Any])
      #expect((merge["entries"] as? Int ?? 0) > 0)
      let text = try Command.run(["report", "off.trace"], in: folder).output
      for word in ["Distributions", "How fields of vmcs02 came about", "What exits were about"] {
        #expect(text.contains(word), "\(word)")
      }
      let both = try Command.run(["report", "off.trace", "on.trace", "--json"], in: folder).json()
      #expect(both["schema"] as? String == "testudo.comparison/1")
    }
  }

  /// Under another table the counts are the same and the cycles are not.
  @Test func aReportCanBePricedAgain() throws {
    try Self.withTraces { folder in
      let reports = try [[], ["--costs", "haswell"]].map {
        try Command.run(["report", "off.trace", "--json"] + $0, in: folder).json()
      }
      let shapes = reports.map { ($0["shapes"] as? [[String: Any]])?.first ?? [:] }
      #expect(shapes[0]["trees"] as? Int == shapes[1]["trees"] as? Int)
      #expect(shapes[0]["cycles"] as? Int ?? 0 > shapes[1]["cycles"] as? Int ?? .max)
      let stat = try Command.run(["stat", "off.trace", "--json", "--costs", "haswell"], in: folder).json()
      let statistics = reports[1]["statistics"] as? [String: Any]
      #expect(stat["virtualCycles"] as? Int == statistics?["virtualCycles"] as? Int)
      let tree = try #require(stat["perL2Exit"] as? [String: Any])
      #expect(
        tree["cycles"] as? Int
          == reports[1]["reasons"].flatMap { ($0 as? [[String: Any]])?.first?["cycles"] as? Int })
    }
  }

  /// The bars of a storyboard follow each other from L2's resumption to the next without a gap, and each step's work is
  /// what it cost L0.
  @Test func theStoryboardIsComplete() throws {
    try Self.withTraces { folder in
      let data = try Self.data(of: Self.page(["off.trace"], in: folder))
      let trees = try #require(data["trees"] as? [[String: Any]])
      let board = try #require(trees.first { $0["reason"] as? String == "CPUID" })
      let steps = try #require(board["steps"] as? [[String: Any]])
      #expect(
        steps.map { $0["reason"] as? String } == [
          "CPUID", "VMREAD", "VMREAD", "VMREAD", "VMREAD", "CPUID", "VMWRITE", "VMRESUME",
        ])
      #expect(steps[1]["about"] as? String == "EXIT_REASON")
      var now = 0
      for segment in try #require(board["segments"] as? [[Any]]) {
        #expect(segment[2] as? Int == now)
        now = try #require(segment[3] as? Int)
      }
      #expect(now == (board["span"] as? Int ?? 0) + (board["ranBefore"] as? Int ?? 0))
      for step in steps {
        let work = try #require(step["work"] as? [[Any]])
        #expect(work.reduce(0) { $0 + ($1[3] as? Int ?? 0) } == step["host"] as? Int)
      }
    }
  }

  /// The VMCSs say what the SDM and L0 do at each moment of the tree.
  @Test func theSnapshotsTellTheTree() throws {
    try Self.withTraces { folder in
      let data = try Self.data(of: Self.page(["off.trace"], in: folder))
      let fields = try #require(data["fields"] as? [[Any]]).map { $0[0] as? String }
      let trees = try #require(data["trees"] as? [[String: Any]])
      let board = try #require(trees.first { $0["reason"] as? String == "CPUID" })
      let vmcs = try #require(board["vmcs"] as? [String: Any])
      let moments = try #require(vmcs["moments"] as? [[Any]])
      #expect(moments.count == 16)
      func value(_ number: Int, _ name: String, upTo moment: Int) -> String {
        let index = fields.firstIndex(of: name)
        var found = "0x0"
        for row in moments.prefix(moment + 1) {
          for change in row[2] as? [[Any]] ?? []
          where change[0] as? Int == number && change[1] as? Int == index {
            found = change[2] as? String ?? ""
          }
        }
        return found
      }
      // CPUID's exit is in vmcs02 at once; vmcs12 has it when L0 has reflected it.
      #expect(value(2, "EXIT_REASON", upTo: 0) == "0xa")
      #expect(value(1, "EXIT_REASON", upTo: 1) == "0xa")
      // L1's VMREAD is an exit of vmcs01, and its VMWRITE moves GUEST_RIP of vmcs12 over CPUID.
      #expect(value(0, "EXIT_REASON", upTo: 2) == "0x17")
      let rip = try #require(Int(value(1, "GUEST_RIP", upTo: 1).dropFirst(2), radix: 16))
      #expect(value(1, "GUEST_RIP", upTo: 15) == "0x" + String(rip + 2, radix: 16))
      #expect(value(2, "GUEST_RIP", upTo: 15) == value(1, "GUEST_RIP", upTo: 15))
      let merge = try #require(vmcs["merge"] as? [String: Any])
      let ripField = try #require(fields.firstIndex(of: "GUEST_RIP"))
      #expect(merge["\(ripField)"] as? String == "L1")
    }
  }

  @Test func snapshotsCanBeLeftOut() throws {
    try TemporaryFolder.with { folder in
      let run = try Command.run(
        ["run", "minimal", "--iterations", "40", "--trace", "off.trace", "--trace-vmcs", "0"], in: folder)
      #expect(run.status == 0, "\(run.errors)")
      let trees = try #require(
        try Self.data(of: Self.page(["off.trace"], in: folder))["trees"] as? [[String: Any]])
      #expect(!trees.isEmpty)
      #expect(trees.allSatisfy { $0["vmcs"] is NSNull })
    }
  }

  @Test func twoRunsAreCompared() throws {
    try Self.withTraces { folder in
      let result = try Command.run(["report", "off.trace", "on.trace"], in: folder)
      #expect(result.status == 0, "\(result.errors)")
      let lines = result.output.split(separator: "\n").map {
        $0.split(separator: " ", omittingEmptySubsequences: true)
      }
      #expect(lines.contains { $0 == ["vmcsAccess", "off", "hardware"] })
      #expect(
        lines.contains {
          $0.starts(with: ["hardware", "exits", "for", "each", "of", "them", "8.00", "3.00", "-5.00"])
        })
      #expect(lines.contains { $0.starts(with: ["L1", "VMREAD"]) && $0.last == "gone" })
      #expect(try Self.page(["off.trace", "on.trace"], in: folder).contains("p-before"))
      let same = try Command.run(["report", "off.trace", "off.trace"], in: folder).output
      #expect(same.contains("Both were run the same way."))
      #expect(!same.contains("%"))
    }
  }

  @Test func oneTraceHasATextToo() throws {
    try Self.withTraces { folder in
      let text = try Command.run(["report", "off.trace"], in: folder).output
      #expect(text.contains("L2 CPUID → L1 {VMREAD×4, CPUID, VMWRITE, VMRESUME}"))
      #expect(text.contains("Exits of L2"))
    }
  }

  @Test func aChosenExitIsShown() throws {
    try Self.withTraces { folder in
      let data = try Self.data(of: Self.page(["off.trace", "--exit", "17"], in: folder))
      let trees = try #require(data["trees"] as? [[String: Any]])
      #expect(trees.first?["tree"] as? Int == 17)
      #expect(data["first"] as? Int == 0)
    }
  }

  @Test func mistakesAreToldInOneLine() throws {
    try Self.withTraces { folder in
      for (arguments, status) in [
        (["off.trace", "--exit", "1"], 64),
        (["off.trace", "on.trace", "--exit", "1", "--html", "a.html"], 64),
        (["off.trace", "--html", ""], 64), (["none.trace"], 66), (["off.trace", "none.trace"], 66),
        (["off.trace", "--html", "none/a.html"], 73),
        (["off.trace", "--html", "a.html", "--exit", "4000"], 64),
      ] {
        let result = try Command.run(["report"] + arguments, in: folder)
        #expect(result.status == Int32(status), "\(arguments): \(result.errors)")
        #expect(result.errorLines.count == 1, "\(result.errors)")
      }
    }
  }

  /// A guest's command line is text, whatever it looks like; minimal refuses this one.
  @Test func markupInATraceStaysText() throws {
    try TemporaryFolder.with { folder in
      let image = "</script><img src=x onerror=alert(1)>"
      let written = try Command.run(
        ["run", "minimal", "--iterations", "5", "--cmdline", image, "--trace", "a.trace"], in: folder)
      #expect(written.status == 1, "\(written.errors)")
      let page = try Self.page(["a.trace"], in: folder)
      #expect(!page.contains("<img"))
      #expect(page.contains("&lt;img src=x"))
    }
  }
}
