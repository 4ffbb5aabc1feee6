import ArgumentParser
import CostModel
import Experiments
import Report
import Trace

struct StatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stat",
    abstract: "Prints what the exits of a trace add up to.",
    discussion: """
      For each level the exits by reason with their times, as 'perf kvm stat report' prints them; the hardware exits \
      per L2 exit; the virtual time by phase, whose sum is the run's virtual time; and L1's VMREADs and VMWRITEs by \
      field. Times are virtual. A trace that was cut is read up to its last whole block, with a warning.
      """)

  @Argument(help: ArgumentHelp("A trace, as 'testudo run --trace' writes it.", valueName: "file.trace"))
  var file: String

  @Option(
    help: ArgumentHelp(
      "Price the trace again: \(CostTableCatalog.names.joined(separator: ", ")), or a YAML file.",
      valueName: "table"),
    transform: CostTableCatalog.table)
  var costs: CostTable?

  @Flag(help: "Print which price moves the result how far, instead of everything.")
  var sensitivity = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    var input = try TraceInput(file, isForPrograms: json)
    var statistics = TraceStatistics(input.description, under: costs, recorded: input.costTable)
    statistics.finish(
      try input.forEachBlock { block throws(CommandError) in
        switch block {
        case .events(let events): for event in events { statistics.add(event) }
        case .pageWalks(let walks): statistics.add(walks)
        case .snapshots: break
        }
      })
    let text =
      json
      ? statistics.json.text(indent: 2) + "\n"
      : sensitivity ? statistics.sensitivity.table.rendered() : statistics.text()
    try Output.write(text)
  }
}
