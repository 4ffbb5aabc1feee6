import ExitAnalysis
import Trace
import VMX

/// Two runs side by side: what changed when something about the machine did.
public struct RunComparison {
  /// One figure of both runs.
  struct Row {
    var name: String
    var values: (Double, Double)
    /// Decimal places of the figures.
    var places = 0

    /// The change in percent of the first, or a word where there is no such thing.
    var change: String {
      let (old, new) = values
      guard old != new else { return "same" }
      guard old != 0 else { return "new" }
      guard new != 0 else { return "gone" }
      let percent = (new - old) / old * 100
      guard percent.magnitude >= 0.005 else { return percent > 0 ? "+0.00 %" : "-0.00 %" }
      return (percent > 0 ? "+" : "") + decimal(percent, places: 2) + " %"
    }
  }

  /// Figures of one kind.
  struct Group {
    var id: String
    var title: String
    var unit: String
    var rows: [Row]
  }

  private let studies: (RunStudy, RunStudy)
  private let names: (String, String)

  /// `names` are what a reader calls the runs, such as the files.
  public init(_ first: RunStudy, _ second: RunStudy, names: (String, String)) {
    studies = (first, second)
    self.names = names
  }

  // MARK: Figures

  var groups: [Group] {
    [
      Group(id: "whole", title: "The whole", unit: "figure", rows: whole),
      Group(id: "trees", title: "Cycles per L2 exit that L1 handled", unit: "L2 exit", rows: perTree),
      Group(id: "sizes", title: "Hardware exits per L2 exit that L1 handled", unit: "L2 exit", rows: sizes),
      Group(id: "exits", title: "Exits", unit: "exit", rows: exits),
      Group(id: "phases", title: "Virtual cycles by phase", unit: "phase", rows: phases),
      Group(id: "fields", title: "VMREADs and VMWRITEs that exited", unit: "field", rows: fields),
    ].filter { !$0.rows.isEmpty }
  }

  private func both(_ value: (RunStudy) -> Double) -> (Double, Double) {
    (value(studies.0), value(studies.1))
  }

  private var whole: [Row] {
    [
      Row(name: "hardware exits", values: both { Double($0.statistics.statistics.count) }),
      Row(name: "L2 exits that L1 handled", values: both { Double($0.statistics.multiplication.l2Exits) }),
      Row(
        name: "hardware exits for each of them", values: both { $0.statistics.multiplication.perL2Exit },
        places: 2),
      Row(name: "cycles for each of them", values: both(Self.cyclesPerTree), places: 0),
      Row(name: "virtual cycles", values: both { Double($0.statistics.phases.total) }),
    ]
  }

  private static func cyclesPerTree(_ study: RunStudy) -> Double {
    let reasons = study.catalogue.reasons
    let count = reasons.reduce(UInt64(0)) { $0 &+ $1.span.count }
    return count == 0 ? 0 : Double(reasons.reduce(UInt64(0)) { $0 &+ $1.span.total }) / Double(count)
  }

  private var perTree: [Row] { reasonRows(places: 0) { $0.span.mean } }

  private var sizes: [Row] { reasonRows(places: 2) { $0.exits.mean } }

  private func reasonRows(places: Int, _ value: (CataloguedReason) -> Double) -> [Row] {
    rows(
      { study in
        Dictionary(
          uniqueKeysWithValues: study.catalogue.reasons.map { (ExitSubject.name($0.reason), value($0)) })
      }, places: places)
  }

  private var exits: [Row] {
    rows({ study in
      var table: [String: Double] = [:]
      for row in [ExitLevel.l2, .l1].flatMap({ study.statistics.statistics.rows(of: $0) }) {
        let name = "\(row.key.from.name) \(ExitSubject.name(row.key.reason)) → \(row.key.routedTo.name)"
        table[name, default: 0] += Double(row.count)
      }
      return table
    })
  }

  private var phases: [Row] {
    Phase.allCases.map { phase in
      Row(name: "\(phase.name)", values: both { Double($0.statistics.phases[phase]) })
    }.filter { $0.values != (0, 0) }
  }

  private var fields: [Row] {
    Array(
      rows({ study in
        var table: [String: Double] = [:]
        for row in study.statistics.fields.rows {
          table[TraceStatistics.name(row), default: 0] += Double(row.reads &+ row.writes)
        }
        return table
      }).prefix(RunSections.rowLimit))
  }

  /// A row for each name in either table, the largest figures first.
  private func rows(_ table: (RunStudy) -> [String: Double], places: Int = 0) -> [Row] {
    let (first, second) = (table(studies.0), table(studies.1))
    return Set(first.keys).union(second.keys)
      .map { Row(name: $0, values: (first[$0] ?? 0, second[$0] ?? 0), places: places) }
      .sorted {
        (max($1.values.0, $1.values.1), $0.name) < (max($0.values.0, $0.values.1), $1.name)
      }
  }

  /// What the descriptions of the runs say differently.
  var settings: [(key: String, first: String, second: String)] {
    let keys = studies.0.description.entries.map(\.key)
    let more = studies.1.description.entries.map(\.key).filter { !keys.contains($0) }
    return (keys + more).compactMap { key in
      let values = (studies.0.description[key] ?? "none", studies.1.description[key] ?? "none")
      return values.0 == values.1 ? nil : (key, values.0, values.1)
    }
  }

  // MARK: For people

  private func table(_ group: Group) -> TextTable {
    var table = TextTable(columns: [
      .init(group.unit), .init("A", .right), .init("B", .right), .init("difference", .right),
      .init("change", .right),
    ])
    for row in group.rows {
      let difference = row.values.1 - row.values.0
      let sign = difference > 0 ? "+" : difference < 0 ? "-" : ""
      table.append([
        row.name, Self.figure(row.values.0, row.places), Self.figure(row.values.1, row.places),
        sign + Self.figure(difference.magnitude, row.places), row.change,
      ])
    }
    return table
  }

  private var settingsTable: TextTable {
    var table = TextTable(columns: [.init("what was run"), .init("A"), .init("B")])
    for row in settings { table.append([row.key, row.first, row.second]) }
    return table
  }

  /// A figure with its digits in groups, or with decimal places.
  private static func figure(_ value: Double, _ places: Int) -> String {
    places == 0 ? grouped(UInt64(max(0, min(value.rounded(), 1e18)))) : decimal(value, places: places)
  }

  public func text() -> String {
    var text =
      "A: \(names.0), \(studies.0.description.title)\nB: \(names.1), \(studies.1.description.title)\n"
    text += settings.isEmpty ? "\nBoth were run the same way.\n" : "\n" + settingsTable.rendered()
    for group in groups { text += "\n\(group.title):\n\n" + table(group).rendered() }
    return text
  }

  /// The figures of both runs for programs.
  public func json() -> JSONValue {
    [
      "schema": "testudo.comparison/1", "a": .string(names.0), "b": .string(names.1),
      "settings": .array(
        settings.map { ["key": .string($0.key), "a": .string($0.first), "b": .string($0.second)] }),
      "groups": .array(
        groups.map { group in
          [
            "id": .string(group.id), "title": .string(group.title),
            "rows": .array(
              group.rows.map {
                ["name": .string($0.name), "a": .number($0.values.0), "b": .number($0.values.1)]
              }),
          ]
        }),
    ]
  }

  /// The comparison as one HTML file that needs nothing else.
  public func html() -> String {
    let styles = (first: "p-before", second: "p-after")
    var page = HTMLPage(
      title: "A and B",
      lead: HTML.facts([
        ("A", "\(names.0): \(studies.0.description.title)"),
        ("B", "\(names.1): \(studies.1.description.title)"),
      ]) + warnings + HTML.key([(styles.first, "A"), (styles.second, "B")]))
    let run = settings.isEmpty ? "<p>Both were run the same way.</p>\n" : HTML.table(settingsTable)
    page.sections = [("settings", "What differs in how they were run", run)]
    for group in groups {
      let bars = group.rows.prefix(24).flatMap { row in
        [
          bar(row.name, row.values.0, row.places, styles.first, "A"),
          bar("", row.values.1, row.places, styles.second, "B: \(row.name)"),
        ]
      }
      let plot = group.id == "whole" ? "" : BarPlot(title: group.title, bars: bars).svg()
      page.sections.append((group.id, group.title, plot + HTML.table(table(group))))
    }
    return page.html()
  }

  private var warnings: String {
    [(names.0, studies.0), (names.1, studies.1)].compactMap { name, study in
      study.statistics.ending?.warning.map { "<p class=\"warning\">\(HTML.text("\(name): \($0)"))</p>\n" }
    }.joined()
  }

  private func bar(_ label: String, _ value: Double, _ places: Int, _ style: String, _ title: String)
    -> BarPlot.Bar
  {
    let figure = Self.figure(value, places)
    return BarPlot.Bar(
      label: label, parts: [.init(style: style, value: value, title: "\(title): \(figure)")], value: figure)
  }
}
