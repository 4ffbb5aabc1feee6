import CostModel
import ExitAnalysis
import Trace
import VMX

// What `testudo stat` prints for people.
extension TraceStatistics {
  public func text() -> String {
    var text = "\(description.title)\n"
    for level in [ExitLevel.l2, .l1] {
      let rows = statistics.rows(of: level)
      guard !rows.isEmpty else { continue }
      text += "\nExits of \(level.name):\n\n" + table(rows).rendered()
    }
    text += "\n\(ExitTable.sentence(multiplication))\n"
    if !trees.reasons.isEmpty {
      text += "\nL2 exits that L1 handled, cycles until L2 ran again:\n\n" + reasonTable.rendered()
    }
    if !trees.sizes.isEmpty {
      text += "\nHardware exits per L2 exit that L1 handled:\n\n" + sizeTable.rendered()
    }
    text += "\nVirtual time by phase, cost table \(costTable):\n\n" + phaseTable.rendered()
    if phases.processors.count > 1 {
      text += "\nEach CPU's time by phase, in percent:\n\n" + processorTable.rendered()
    }
    text += "\nVirtual time by price:\n\n" + priceTable.rendered()
    if treeWork.trees > 0 {
      text += "\nOne L2 exit that L1 handled, by price:\n\n" + treePriceTable.rendered()
    }
    if misses.l1.misses | misses.l2.misses != 0 {
      text += "\nTLB misses and the memory references of their page walks:\n\n" + walkTable.rendered()
    }
    if let lengths = walkLengthTable { text += "\nPage walks by references:\n\n" + lengths.rendered() }
    if !fields.rows.isEmpty {
      text += "\nVMREADs and VMWRITEs that exited, by field:\n\n" + fieldTable.rendered()
    }
    if let end = summarySentence { text += "\n\(end)\n" }
    return text
  }

  var summarySentence: String? {
    guard case .complete(let summary) = ending else { return nil }
    var text = "\(grouped(statistics.count)) exits, \(grouped(summary.instructions)) guest instructions, "
    text += "\(grouped(phases.total)) virtual cycles; \(summary.sentence)"
    if summary.droppedEvents > 0 { text += "\n\(grouped(summary.droppedEvents)) exits are not in the trace" }
    return text
  }

  private func table(_ rows: [ExitStatistics.Row]) -> TextTable {
    var table = TextTable(columns: [
      .init("VM-EXIT"), .init("to"), .init("Samples", .right), .init("Samples%", .right),
      .init("Time%", .right), .init("Min Time", .right), .init("Max Time", .right), .init("Avg time", .right),
      .init("", .left),
    ])
    let samples = rows.reduce(UInt64(0)) { $0 &+ $1.count }
    let time = rows.reduce(UInt64(0)) { $0 &+ $1.span.total }
    for row in rows {
      table.append([
        KVMExitName.name(row.key.reason), "\(row.key.routedTo.name)", "\(row.count)",
        share(row.count, samples), share(row.span.total, time), microseconds(Double(row.span.least)),
        microseconds(Double(row.span.most)), microseconds(row.span.mean),
        "( +- \(decimal(row.span.relativeError * 100, places: 2))% )",
      ])
    }
    table.setTotals(["total", "", "\(samples)", "", "", "", "", microseconds(Double(time)), "in all"])
    return table
  }

  private var reasonTable: TextTable {
    var table = TextTable(columns: [
      .init("L2 exit"), .init("trees", .right), .init("exits", .right), .init("least", .right),
      .init("most", .right), .init("cycles", .right), .init("least", .right), .init("most", .right),
    ])
    for row in trees.reasons {
      table.append([
        ExitSubject.name(row.reason), grouped(row.exits.count), decimal(row.exits.mean, places: 2),
        grouped(row.exits.least), grouped(row.exits.most), decimal(row.span.mean, places: 0),
        grouped(row.span.least), grouped(row.span.most),
      ])
    }
    return table
  }

  var processorTable: TextTable {
    let processors = phases.processors
    let shown = Phase.allCases.filter { phase in processors.contains { $0[phase] > 0 } }
    var table = TextTable(
      columns: [.init("CPU", .right)] + shown.map { .init("\($0.name)", .right) }
        + [.init("cycles", .right)])
    for (number, own) in processors.enumerated() {
      table.append(["\(number)"] + shown.map { share(own[$0], own.total) } + [grouped(own.total)])
    }
    return table
  }

  var treePriceTable: TextTable {
    var table = TextTable(columns: [
      .init("item"), .init("times", .right), .init("price", .right), .init("cycles", .right),
      .init("share", .right),
    ])
    let trees = Double(treeWork.trees)
    func add(_ name: String, _ times: String, _ price: String, _ cycles: UInt64) {
      table.append([
        name, times, price, decimal(Double(cycles) / trees, places: 2), share(cycles, treeWork.span),
      ])
    }
    for item in CostItem.allCases where treeWork.work[item] > 0 {
      add(
        item.rawValue, decimal(treeWork.perTree(item), places: 2), grouped(prices.cycles(item)),
        treeWork.work[item] &* prices.cycles(item))
    }
    add("instructions and idle", "", "", treeWork.rest(prices))
    table.setTotals(["total", "", "", decimal(Double(treeWork.span) / trees, places: 2), ""])
    return table
  }

  var walkTable: TextTable {
    var table = TextTable(columns: [
      .init("level"), .init("misses", .right), .init("references", .right), .init("per walk", .right),
      .init("guest's tables", .right), .init("EPT", .right), .init("cycles", .right), .init("share", .right),
    ])
    for (level, sum) in [(ExitLevel.l2, misses.l2), (.l1, misses.l1)] {
      let counts = pageWalks?[level]
      let references = counts?.references ?? sum.references
      let walks = counts?.walks ?? sum.misses
      let cycles = references &* prices.pageWalkReference
      table.append([
        "\(level.name)", grouped(walks), grouped(references),
        decimal(walks == 0 ? 0 : Double(references) / Double(walks), places: 2),
        counts.map { grouped($0.guestReferences) } ?? "?", counts.map { grouped($0.eptReferences) } ?? "?",
        grouped(cycles), share(cycles, phases.total),
      ])
    }
    return table
  }

  private var walkLengthTable: TextTable? {
    guard let pageWalks, pageWalks.l1.walks | pageWalks.l2.walks != 0 else { return nil }
    var table = TextTable(columns: [
      .init("references", .right), .init("L2", .right), .init("share", .right), .init("L1", .right),
      .init("share", .right),
    ])
    for (length, counts) in zip(pageWalks.l2.byReferences, pageWalks.l1.byReferences).enumerated()
    where counts.0 | counts.1 != 0 {
      table.append([
        "\(length)", grouped(counts.0), share(counts.0, pageWalks.l2.walks), grouped(counts.1),
        share(counts.1, pageWalks.l1.walks),
      ])
    }
    return table
  }

  private var sizeTable: TextTable {
    var table = TextTable(columns: [.init("exits", .right), .init("trees", .right), .init("share", .right)])
    for (size, count) in trees.sizes {
      table.append([size, grouped(count), share(count, multiplication.l2Exits)])
    }
    return table
  }

  private var phaseTable: TextTable {
    var table = TextTable(columns: [.init("phase"), .init("cycles", .right), .init("share", .right)])
    for phase in Phase.allCases where phases[phase] > 0 {
      table.append(["\(phase.name)", grouped(phases[phase]), share(phases[phase], phases.total)])
    }
    table.setTotals(["total", grouped(phases.total), ""])
    return table
  }

  /// An item's share is also how far the result moves with its price: a tenth more of the price is a tenth of the
  /// share.
  var priceTable: TextTable {
    var table = TextTable(columns: [
      .init("item"), .init("count", .right), .init("price", .right), .init("cycles", .right),
      .init("share", .right),
    ])
    for item in CostItem.allCases where work[item] > 0 {
      let cycles = work[item] &* prices.cycles(item)
      table.append([
        item.rawValue, grouped(work[item]), grouped(prices.cycles(item)), grouped(cycles),
        share(cycles, phases.total),
      ])
    }
    let rest = phases.total &- work.cycles(prices)
    table.append(["instructions and idle", "", "", grouped(rest), share(rest, phases.total)])
    table.setTotals(["total", "", "", grouped(phases.total), ""])
    return table
  }

  private var fieldTable: TextTable {
    var table = TextTable(columns: [.init("field"), .init("reads", .right), .init("writes", .right)])
    for row in fields.rows.prefix(Self.listedFields) {
      table.append([Self.name(row), grouped(row.reads), grouped(row.writes)])
    }
    let rest = fields.rows.dropFirst(Self.listedFields)
    if !rest.isEmpty {
      table.append([
        "\(rest.count) others", grouped(rest.reduce(0) { $0 &+ $1.reads }),
        grouped(rest.reduce(0) { $0 &+ $1.writes }),
      ])
    }
    return table
  }

  static func name(_ row: FieldCounts.Row) -> String {
    row.field.map { "\($0.name)" } ?? hexadecimal(UInt64(row.encoding))
  }

  func share(_ part: UInt64, _ whole: UInt64) -> String {
    decimal(whole == 0 ? 0 : Double(part) / Double(whole) * 100, places: 2) + "%"
  }

  private func microseconds(_ cycles: Double) -> String {
    decimal(cycles / Double(frequency) * 1e6, places: 2) + "us"
  }
}
