import CostModel
import ExitAnalysis
import NestedVMX
import Trace
import VMX

/// What `testudo stat` says of a trace: exits per level as `perf kvm stat report` prints them, the multiplication, the
/// virtual time by phase, and L1's VMREADs and VMWRITEs by field.
public struct TraceStatistics: Sendable {
  /// The version of the JSON object.
  public static let schema = "testudo.stat/1"
  /// The VMCS fields that the text lists.
  static let listedFields = 16

  public let description: TraceDescription
  /// The name of the cost table that the times follow.
  public let costTable: String
  let prices: CostPrices
  private let frequency: UInt64
  private var repricing: Repricing?
  private var work: WorkByItem
  private(set) var statistics = ExitStatistics()
  private(set) var phases: PhaseBreakdown
  private(set) var fields = FieldCounts()
  private(set) var trees = TreeTotals()
  private(set) var lastCycle: UInt64 = 0
  private(set) var ending: TraceEnding?

  /// The statistics of a trace as it is, or as it would be under `costs`.
  public init(_ description: TraceDescription, under costs: CostTable? = nil) {
    let recorded = description.prices
    self.description = description
    costTable = costs?.name ?? description[TraceDescription.Key.costTable] ?? "unknown"
    prices = costs?.prices ?? recorded
    frequency = costs?.frequency ?? description.frequency
    work = WorkByItem(areMemoryAccesses: description.areMemoryAccesses)
    phases = PhaseBreakdown(prices)
    repricing = costs.map {
      Repricing(from: recorded, to: $0.prices, areMemoryAccesses: description.areMemoryAccesses)
    }
  }

  /// Takes the next event.
  public mutating func add(_ event: ExitEvent) {
    lastCycle = event.end
    guard var repricing else { return take(event) }
    self.repricing = nil
    var ready: [ExitEvent] = []
    repricing.add(event) { ready.append($0) }
    self.repricing = repricing
    for event in ready { take(event) }
  }

  private mutating func take(_ event: ExitEvent) {
    statistics.add(event)
    phases.add(event)
    fields.add(event)
    trees.add(event)
    work.add(event)
  }

  /// Takes the end of the trace.
  public mutating func finish(_ ending: TraceEnding) {
    self.ending = ending
    if case .complete(let summary) = ending { lastCycle = summary.cycles }
    var ready: [ExitEvent] = []
    let end = repricing?.finish(at: lastCycle) { ready.append($0) } ?? lastCycle
    for event in ready { take(event) }
    phases.finish(at: end)
  }

  var multiplication: Multiplication { trees.multiplication }

  // MARK: For people

  public func text() -> String {
    var text = "\(description.title)\n"
    for level in [ExitLevel.l2, .l1] {
      let rows = statistics.rows(of: level)
      guard !rows.isEmpty else { continue }
      text += "\nExits of \(level.name):\n\n" + table(rows).rendered()
    }
    text += "\n\(ExitTable.sentence(multiplication))\n"
    if !trees.sizes.isEmpty {
      text += "\nHardware exits per L2 exit that L1 handled:\n\n" + sizeTable.rendered()
    }
    text += "\nVirtual time by phase, cost table \(costTable):\n\n" + phaseTable.rendered()
    text += "\nVirtual time by price:\n\n" + priceTable.rendered()
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

  /// An item's share is also how far the result moves with its price: a tenth more of the price is a tenth of the share.
  private var priceTable: TextTable {
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
    let priced = CostItem.allCases.reduce(UInt64(0)) { $0 &+ work[$1] &* prices.cycles($1) }
    let rest = phases.total &- priced
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

  private func share(_ part: UInt64, _ whole: UInt64) -> String {
    decimal(whole == 0 ? 0 : Double(part) / Double(whole) * 100, places: 2) + "%"
  }

  private func microseconds(_ cycles: Double) -> String {
    decimal(cycles / Double(frequency) * 1e6, places: 2) + "us"
  }

  // MARK: For programs

  /// Everything as one JSON object; times are in virtual cycles.
  public var json: JSONValue {
    [
      "schema": .string(Self.schema),
      "description": .object(description.entries.map { .init($0.key, .string($0.value)) }),
      "complete": .bool(isComplete), "events": .unsigned(statistics.count),
      "exits": .array([ExitLevel.l2, .l1].flatMap { statistics.rows(of: $0) }.map(Self.json)),
      "multiplication": ExitTable.json(multiplication),
      "treeSizes": .array(
        trees.sizes.map { ["exits": .string($0.size), "trees": .unsigned($0.count)] }),
      "virtualCycles": .unsigned(phases.total),
      "costTable": .string(costTable),
      "prices": .object(
        CostItem.allCases.map {
          .init(
            $0.rawValue, ["count": .unsigned(work[$0]), "price": .unsigned(prices.cycles($0))])
        }),
      "phases": .object(Phase.allCases.map { .init("\($0.key)", .unsigned(phases[$0])) }),
      "fields": .array(
        fields.rows.map {
          ["field": .string(Self.name($0)), "reads": .unsigned($0.reads), "writes": .unsigned($0.writes)]
        }),
    ]
  }

  var isComplete: Bool {
    guard case .complete = ending else { return false }
    return true
  }

  private static func json(_ row: ExitStatistics.Row) -> JSONValue {
    [
      "from": .string("\(row.key.from.name)"),
      "reason": .string("\(ExitReason(rawValue: row.key.reason)?.name ?? "UNKNOWN")"),
      "routedTo": .string("\(row.key.routedTo.name)"), "count": .unsigned(row.count),
      "unfinished": .unsigned(row.unfinished), "spanCycles": .unsigned(row.span.total),
      "leastCycles": .unsigned(row.span.least), "mostCycles": .unsigned(row.span.most),
      "meanCycles": .number(row.span.mean), "hostCycles": .unsigned(row.host.total),
    ]
  }
}

extension TraceDescription {
  /// The prices that the trace was made with; 0 for what it does not say.
  public var prices: CostPrices { CostPrices { self[Key.pricePrefix + $0.rawValue].flatMap { UInt64($0) } } }

  /// Whether L1's accesses of its VMCS that do not exit are memory accesses.
  var areMemoryAccesses: Bool {
    self[Key.vmcsAccess].flatMap(VMCSAccessModel.init(rawValue:))?.isMemoryAccess ?? false
  }
}
