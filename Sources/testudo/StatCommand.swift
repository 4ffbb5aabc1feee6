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

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    var input = try TraceInput(file)
    var statistics = TraceStatistics(input.description, under: costs)
    statistics.finish(try input.forEach { event throws(CommandError) in statistics.add(event) })
    try Output.write(json ? statistics.json.text(indent: 2) + "\n" : statistics.text())
  }
}
