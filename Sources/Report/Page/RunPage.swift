import ExitAnalysis
import Trace
import VMX

/// The page of one trace.
public struct RunPage {
  /// The trees that the page can show at the most.
  static let treeLimit = 160
  let study: RunStudy

  public init(_ study: RunStudy) { self.study = study }

  /// The page as one HTML file that needs nothing else; equal studies are equal bytes.
  public func html() -> String {
    let trees = Array(study.shownTrees.prefix(Self.treeLimit))
    var page = HTMLPage(title: study.description.title, lead: lead)
    page.sections = [("summary", "Summary", summary)]
    if !trees.isEmpty {
      page.sections.append(("storyboard", "Storyboard", StoryboardSection(study, trees).html()))
    }
    page.sections += RunSections(study).all
    if !trees.isEmpty {
      page.data = data(trees)
      page.script = StoryboardScript.javaScript + VMCSScript.javaScript
    }
    return page.html()
  }

  private var statistics: TraceStatistics { study.statistics }

  private var lead: String {
    var html = ""
    if let warning = statistics.ending?.warning { html += "<p class=\"warning\">\(HTML.text(warning))</p>\n" }
    if let end = statistics.summarySentence {
      html += end.split(separator: "\n").map { "<p>\(HTML.text(String($0)))</p>\n" }.joined()
    }
    let plain = study.description.entries.filter { !$0.key.hasPrefix(TraceDescription.Key.pricePrefix) }
    let prices = study.description.entries.filter { $0.key.hasPrefix(TraceDescription.Key.pricePrefix) }
    html += "<details><summary>What was run, and what things cost</summary>\n"
    html += HTML.facts(plain.map { ($0.key, $0.value) })
    html += HTML.facts(
      prices.map { (String($0.key.dropFirst(TraceDescription.Key.pricePrefix.count)), "\($0.value) cycles") })
    return html + "</details>\n"
  }

  private var summary: String {
    let phases = statistics.phases
    let hostCycles = [Phase.switchL2, .transform, .handlerL0, .switchL1].reduce(UInt64(0)) {
      $0 &+ phases[$1]
    }
    let busy = phases.total &- phases[.idle]
    let span = study.catalogue.reasons.reduce(UInt64(0)) { $0 &+ $1.span.total }
    let multiplication = statistics.multiplication
    var tiles = HTML.tile(grouped(statistics.statistics.count), "hardware exits")
    if multiplication.l2Exits > 0 {
      tiles += HTML.tile(grouped(multiplication.l2Exits), "exits of L2 that L1 handled")
      tiles += HTML.tile(decimal(multiplication.perL2Exit, places: 2), "hardware exits for each of them")
      tiles += HTML.tile(grouped(span / multiplication.l2Exits), "cycles for each of them")
    }
    tiles += HTML.tile(grouped(phases.total), "virtual cycles")
    tiles += HTML.tile(
      percent(hostCycles, busy), "of the cycles that were not idle went to L0 and to switching")
    return "<div class=\"tiles\">\n\(tiles)</div>\n"
  }

  private func data(_ trees: [(shape: Int?, example: TreeExample)]) -> JSONValue {
    var words = SnapshotWords()
    let boards = trees.map { shown in
      Storyboard(shown.example, statistics.prices).json(
        shape: shown.shape, snapshots: study.snapshots[shown.example.root.tree], &words)
    }
    return [
      "schema": "testudo.report/1", "first": .unsigned(UInt64(first(trees))),
      "phases": .object(Phase.allCases.map { .init("\($0.key)", .string("\($0.name)")) }),
      "fields": SnapshotData.fields, "trees": .array(boards), "words": words.json,
    ]
  }

  /// The tree shown at first: one that was asked for, or the typical one of the most frequent shape.
  private func first(_ trees: [(shape: Int?, example: TreeExample)]) -> Int {
    if trees.first?.shape == nil { return 0 }
    let shapes = study.catalogue.shapes
    let best = shapes.indices.max { shapes[$0].count < shapes[$1].count }
    return trees.firstIndex { $0.shape == best } ?? 0
  }
}

/// `part` of `whole` in percent.
public func percent(_ part: UInt64, _ whole: UInt64) -> String {
  decimal(whole == 0 ? 0 : Double(part) / Double(whole) * 100, places: 1) + " %"
}
