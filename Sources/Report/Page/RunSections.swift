import ExitAnalysis
import Trace
import VMX

/// The plots and tables of one trace.
struct RunSections {
  /// The rows of a long table that are shown.
  static let rowLimit = 40
  private let study: RunStudy

  init(_ study: RunStudy) { self.study = study }

  private var statistics: TraceStatistics { study.statistics }

  /// The sections that have anything to say.
  var all: [(id: String, title: String, body: String)] {
    [
      ("exits", "Exits", exits), ("phases", "Phases", phases),
      ("distributions", "Distributions", distributions),
      ("fields", "VMCS fields", fields), ("merge", "Merge", merge), ("ept", "EPT violations", violations),
      ("subjects", "What exits were about", subjects), ("walks", "Page walks", walks),
      ("prices", "Prices", prices),
    ].filter { !$0.2.isEmpty }
  }

  // MARK: Exits

  private var exits: String {
    let rows = [ExitLevel.l2, .l1].flatMap { statistics.statistics.rows(of: $0) }
    guard !rows.isEmpty else { return "" }
    let styles = [
      (style: "p-l2", name: "exit of L2, handled by L1"),
      (style: "p-switchL2", name: "exit of L2, kept by L0"),
      (style: "p-handlerL1", name: "exit of L1"),
    ]
    func style(_ key: ExitStatistics.Key) -> String {
      key.from == .l1 ? styles[2].style : key.routedTo == .l1 ? styles[0].style : styles[1].style
    }
    func plot(_ title: String, _ value: (ExitStatistics.Row) -> UInt64) -> String {
      let total = rows.reduce(UInt64(0)) { $0 &+ value($1) }
      let bars = rows.sorted { value($1) < value($0) }.prefix(Self.rowLimit).map { row in
        let name = "\(row.key.from.name) \(ExitSubject.name(row.key.reason))"
        return BarPlot.Bar(
          label: name,
          parts: [
            .init(style: style(row.key), value: Double(value(row)), title: "\(name): \(grouped(value(row)))")
          ],
          value: "\(grouped(value(row))) (\(percent(value(row), total)))")
      }
      return "<h3>\(HTML.text(title))</h3>\n" + BarPlot(title: title, bars: bars).svg()
    }
    return HTML.key(styles) + plot("Exits by reason and level") { $0.count }
      + plot("Cycles that L0 spent on them") { $0.host.total } + exitTable(rows)
  }

  private func exitTable(_ rows: [ExitStatistics.Row]) -> String {
    var table = TextTable(columns: [
      .init("from"), .init("exit reason"), .init("handled by"), .init("count", .right),
      .init("L0's cycles", .right),
      .init("cycles until it ran again: least", .right), .init("average", .right), .init("most", .right),
    ])
    for row in rows {
      table.append([
        "\(row.key.from.name)", ExitSubject.name(row.key.reason), "\(row.key.routedTo.name)",
        grouped(row.count),
        grouped(row.host.total), grouped(row.span.least), whole(row.span.mean),
        grouped(row.span.most),
      ])
    }
    let count = rows.reduce(UInt64(0)) { $0 &+ $1.count }
    table.setTotals(["total", "", "", grouped(count), grouped(rows.reduce(0) { $0 &+ $1.host.total })])
    return HTML.table(table)
  }

  // MARK: Phases

  private var phases: String {
    let run = statistics.phases
    guard run.total > 0 else { return "" }
    let shown = Phase.allCases.filter { run[$0] > 0 || $0 == .others && run.processors.count > 1 }
    func bar(_ label: String, _ total: UInt64, _ cycles: (Phase) -> UInt64) -> BarPlot.Bar {
      BarPlot.Bar(
        label: label,
        parts: shown.map {
          .init(
            style: "p-\($0.key)", value: Double(cycles($0)),
            title: "\($0.name): \(grouped(cycles($0))) cycles, \(percent(cycles($0), total))")
        }, value: "")
    }
    var bars = [bar("the whole run", run.total) { run[$0] }]
    let processors = run.processors
    if processors.count > 1 {
      for (number, own) in processors.prefix(Self.rowLimit).enumerated() {
        bars.append(bar("CPU \(number)", own.total) { own[$0] })
      }
    }
    for reason in study.catalogue.reasons.prefix(Self.rowLimit) {
      bars.append(
        bar("trees of \(ExitSubject.name(reason.reason))", reason.phases.total) { reason.phases[$0] })
    }
    let plot = BarPlot(title: "Virtual time by phase", bars: bars, isShares: true).svg()
    return
      "<p>Where virtual time went, after the breakdown of Vilanova et al. (SVt, ISCA 2019). The phases add up to it, "
      + "exactly.</p>\n" + HTML.key(of: shown) + plot + phaseTable(shown)
  }

  private func phaseTable(_ shown: [Phase]) -> String {
    let reasons = study.catalogue.reasons.prefix(Self.rowLimit)
    var table = TextTable(
      columns: [.init("phase"), .init("cycles of the run", .right), .init("share", .right)]
        + reasons.map { .init("per L2 \(ExitSubject.name($0.reason))", .right) })
    for phase in shown {
      table.append(
        [
          "\(phase.name)", grouped(statistics.phases[phase]),
          percent(statistics.phases[phase], statistics.phases.total),
        ]
          + reasons.map { decimal(Double($0.phases[phase]) / Double(max(1, $0.span.count)), places: 0) })
    }
    table.setTotals(
      ["total", grouped(statistics.phases.total), ""] + reasons.map { decimal($0.span.mean, places: 0) })
    return HTML.table(
      table, caption: "Cycles: of the whole run, and for one L2 exit that L1 handled on average")
  }

  // MARK: Distributions

  var distributionTable: TextTable {
    var table = TextTable(columns: [
      .init("L2 exit"), .init("trees", .right), .init("exits: average", .right), .init("most", .right),
      .init("cycles: average", .right), .init("half of them up to", .right), .init("99 % up to", .right),
      .init("most", .right),
    ])
    for reason in study.catalogue.reasons {
      table.append([
        ExitSubject.name(reason.reason), grouped(reason.exits.count), decimal(reason.exits.mean, places: 2),
        grouped(reason.exits.most), whole(reason.span.mean),
        grouped(min(reason.spans.quantile(0.5), reason.span.most)),
        grouped(min(reason.spans.quantile(0.99), reason.span.most)), grouped(reason.span.most),
      ])
    }
    return table
  }

  private var distributions: String {
    let reasons = study.catalogue.reasons
    guard !reasons.isEmpty else { return "" }
    var html = HTML.table(
      distributionTable, caption: "L2 exits that L1 handled, through to L2 running again; medians to 25 %")
    for reason in reasons.prefix(12) {
      let name = ExitSubject.name(reason.reason)
      html +=
        "<h3>L2 \(name)</h3>\n<div class=\"tiles\">\n" + sizes(reason, name) + spans(reason, name)
        + "</div>\n"
    }
    return html
  }

  private func sizes(_ reason: CataloguedReason, _ name: String) -> String {
    let classes = SizeClasses(reason.sizes).classes.map { row in
      HistogramPlot.Class(
        label: row.label, count: row.count, title: "\(row.label) exits: \(grouped(row.count)) trees")
    }
    return HistogramPlot(
      title: "Hardware exits per L2 exit, \(name)", axis: "hardware exits per L2 exit", classes: classes
    ).svg()
  }

  private func spans(_ reason: CataloguedReason, _ name: String) -> String {
    let classes = reason.spans.classes.map { row in
      HistogramPlot.Class(
        label: short(row.lower), count: row.count,
        title: "\(grouped(row.lower)) to \(grouped(row.upper &- 1)) cycles: \(grouped(row.count)) trees")
    }
    return HistogramPlot(
      title: "Cycles per L2 exit, \(name)", axis: "cycles per L2 exit, four classes to a doubling",
      classes: classes
    )
    .svg()
  }

  private func short(_ value: UInt64) -> String {
    switch value {
    case ..<10_000: "\(value)"
    case ..<10_000_000: "\(value / 1000)k"
    case ..<10_000_000_000: "\(value / 1_000_000)M"
    default: "\(value / 1_000_000_000)G"
    }
  }

  // MARK: Fields, merge, EPT, subjects

  private var fields: String {
    let rows = statistics.fields.rows
    guard !rows.isEmpty else { return "" }
    var table = TextTable(columns: [.init("field"), .init("VMREADs", .right), .init("VMWRITEs", .right)])
    for row in rows.prefix(Self.rowLimit) {
      table.append([TraceStatistics.name(row), grouped(row.reads), grouped(row.writes)])
    }
    let rest = rows.dropFirst(Self.rowLimit)
    if !rest.isEmpty {
      table.append([
        "\(rest.count) others", grouped(rest.reduce(0) { $0 &+ $1.reads }),
        grouped(rest.reduce(0) { $0 &+ $1.writes }),
      ])
    }
    let bars = rows.prefix(16).map { row in
      BarPlot.Bar(
        label: TraceStatistics.name(row),
        parts: [
          .init(style: "p-handlerL1", value: Double(row.reads), title: "\(grouped(row.reads)) VMREADs"),
          .init(style: "p-handlerL0", value: Double(row.writes), title: "\(grouped(row.writes)) VMWRITEs"),
        ], value: grouped(row.reads &+ row.writes))
    }
    return "<p>L1's VMREADs and VMWRITEs that exited: what VMCS shadowing could let through.</p>\n"
      + HTML.key([("p-handlerL1", "VMREAD"), ("p-handlerL0", "VMWRITE")])
      + BarPlot(title: "VMREADs and VMWRITEs that exited, by field", bars: bars).svg() + HTML.table(table)
  }

  private var mergeCounts: MergeCounts {
    MergeCounts(study.snapshots.sorted { $0.key < $1.key }.map(\.value))
  }

  /// Without rows if no tree's VMCSs were recorded.
  var mergeTable: TextTable {
    let counts = mergeCounts
    var table = TextTable(columns: [
      .init("rule"), .init("fields of the SDM", .right), .init("not 0 in some VMCS", .right),
      .init("changed by L0 in vmcs02", .right),
    ])
    guard counts.entries > 0 else { return table }
    for row in counts.rows {
      table.append([row.rule, "\(row.fields)", decimal(row.used, places: 1), decimal(row.changed, places: 1)])
    }
    table.setTotals(["total", "\(VMCSField.count)"])
    return table
  }

  private var merge: String {
    let entries = mergeCounts.entries
    guard entries > 0 else { return "" }
    return
      "<p>How the fields of vmcs02 come about, at the VM entries that ended the \(entries) trees whose VMCSs "
      + "were recorded; averages for one VM entry.</p>\n" + HTML.table(mergeTable)
  }

  var violationTable: TextTable {
    var table = TextTable(columns: [
      .init("handled by"), .init("L2 wanted"), .init("ept02 allowed"), .init("of"), .init("count", .right),
      .init("why"),
    ])
    for row in study.violations.rows {
      table.append([
        "\(row.routedTo.name)", words(row.access, .read, .write, .fetch),
        words(row.allowed, .readable, .writable, .executable), row.isFinal ? "a page" : "a paging structure",
        grouped(row.count),
        row.routedTo == .l1 ? "ept12 lacks or forbids it: L1 handles it" : "ept02 lacked it: L0 composed it",
      ])
    }
    return table
  }

  private var violations: String {
    guard !study.violations.rows.isEmpty else { return "" }
    return
      "<p>What filled ept02 by an exit of L2. What L0 composes at a VM entry is no exit, and not here.</p>\n"
      + HTML.table(violationTable)
  }

  private func words(_ bits: EPTViolationQualification, _ flags: EPTViolationQualification...) -> String {
    let names = ["read", "write", "execute"]
    let found = zip(flags, names).filter { bits.rawValue & $0.0.rawValue != 0 }.map(\.1)
    return found.isEmpty ? "nothing" : found.joined(separator: ", ")
  }

  var subjectTable: TextTable {
    let rows = study.operands.rows
    var table = TextTable(columns: [
      .init("from"), .init("exit reason"), .init("about"), .init("handled by"), .init("count", .right),
    ])
    for row in rows.prefix(Self.rowLimit) {
      table.append([
        "\(row.key.from.name)", ExitSubject.name(row.key.reason), subject(row.key),
        "\(row.key.routedTo.name)",
        grouped(row.count),
      ])
    }
    let rest = rows.dropFirst(Self.rowLimit).reduce(study.operands.others) { $0 &+ $1.count }
    if rest > 0 { table.append(["", "others", "", "", grouped(rest)]) }
    return table
  }

  private var subjects: String {
    guard !study.operands.rows.isEmpty else { return "" }
    return HTML.table(
      subjectTable, caption: "Leaves, MSRs, ports, hypercalls and pages, the most frequent first")
  }

  // MARK: Page walks, prices

  private var walks: String {
    let misses = statistics.misses
    guard misses.l1.misses | misses.l2.misses != 0 else { return "" }
    var html =
      "<p>Misses of the processor's TLB. A walk refers to the guest's paging structures and, for each of them and for the "
      + "result, to those of EPT: 24 times at the most.</p>\n" + HTML.table(statistics.walkTable)
    guard let walks = statistics.pageWalks else { return html }
    for level in [ExitLevel.l2, .l1] where walks[level].walks > 0 {
      let title = "Page walks of \(level.name) by memory references"
      let classes = walks[level].byReferences.enumerated().map { length, count in
        HistogramPlot.Class(
          label: "\(length)", count: count, title: "\(length) references: \(grouped(count)) walks")
      }
      html += "<h3>\(title)</h3>\n"
      html += HistogramPlot(title: title, axis: "memory references of a walk", classes: classes).svg()
    }
    return html
  }

  private var prices: String {
    guard statistics.work.exits > 0 else { return "" }
    var html =
      "<p>What virtual time was spent on, by the prices of cost table \(HTML.text(statistics.costTable)).</p>\n"
    html += HTML.table(statistics.priceTable, caption: "The whole run")
    if statistics.treeWork.trees > 0 {
      html += HTML.table(statistics.treePriceTable, caption: "One L2 exit that L1 handled, on average")
    }
    html += "<p>Which price moves the result how far, the one that moves it farthest first.</p>\n"
    return html + HTML.table(statistics.sensitivity.table)
  }

  private func subject(_ key: OperandCounts.Key) -> String {
    if let operand = ExitSubject.operand(key.reason, key.operand, from: key.from) {
      return "\(operand.name) \(operand.text)".replacing("CPUID ", with: "")
    }
    return ExitSubject.qualification(key.reason, key.operand)
  }
}

/// Tree sizes in at most 24 classes of equal width.
struct SizeClasses {
  struct Class: Equatable {
    var label: String
    var count: UInt64
  }

  let classes: [Class]

  init(_ sizes: [UInt64: UInt64]) {
    guard let first = sizes.keys.min(), let last = sizes.keys.max() else {
      classes = []
      return
    }
    let width = (last - first) / 24 + 1
    var counts = [UInt64](repeating: 0, count: Int((last - first) / width) + 1)
    for (size, count) in sizes { counts[Int((size - first) / width)] &+= count }
    classes = counts.enumerated().map { index, count in
      let lower = first + UInt64(index) * width
      return Class(label: width == 1 ? "\(lower)" : "\(lower)–\(lower + width - 1)", count: count)
    }
  }
}
