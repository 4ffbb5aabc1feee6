import ArgumentParser
import CostModel
import Experiments
import Glibc
import Report
import Trace

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Reports on a trace, or compares two.",
    discussion: """
      With --html FILE, one page that needs no network: the storyboard of any kind of L2 exit step by step with the three \
      VMCSs, plots and tables. Without, a text. The VMCSs are those of the trees that 'testudo run --trace-vmcs' \
      recorded. Times are virtual. A trace that was cut is read up to its last whole block, with a warning.
      """)

  @Argument(help: ArgumentHelp("A trace, as 'testudo run --trace' writes it.", valueName: "file.trace"))
  var file: String

  @Argument(help: ArgumentHelp("Another one, to compare with.", valueName: "other.trace"))
  var other: String?

  @Option(help: ArgumentHelp("Write the report as a page into this file.", valueName: "file.html"))
  var html: String?

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Show the tree of this L2 exit too, by its number from 0. Can be given several times.",
      valueName: "number"))
  var exit: [UInt64] = []

  @Option(
    help: ArgumentHelp(
      "Price the traces again: \(CostTableCatalog.names.joined(separator: ", ")), or a YAML file.",
      valueName: "table"),
    transform: CostTableCatalog.table)
  var costs: CostTable?

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard !json || html == nil else {
      throw ValidationError("--json and --html FILE are two forms of a report: expected one of them")
    }
    if html == "" {
      throw ValidationError("The value of '--html <file.html>' is '': expected the path of a file")
    }
    guard exit.isEmpty || html != nil && other == nil else {
      throw ValidationError("--exit needs one trace and --html FILE, where the tree is shown")
    }
    guard exit.count <= 64 else {
      throw ValidationError("--exit is given \(exit.count) times: expected at most 64")
    }
  }

  func run() throws {
    let page = try html.map { path throws(CommandError) in try PageFile(path) }
    let first = try study(file)
    if let other {
      let comparison = RunComparison(first, try study(other), names: (file, other))
      try page.map { try $0.write(comparison.html()) }
        ?? Output.write(json ? comparison.json().text(indent: 2) + "\n" : comparison.text())
    } else {
      try page.map { try $0.write(RunPage(first).html()) }
        ?? Output.write(json ? first.json().text(indent: 2) + "\n" : first.text())
    }
  }

  private func study(_ path: String) throws -> RunStudy {
    var input = try TraceInput(path, isForPrograms: json)
    var study = RunStudy(
      input.description, chosen: Set(exit), under: costs, recorded: input.costTable)
    study.finish(
      try input.forEachBlock { block throws(CommandError) in
        switch block {
        case .events(let events): for event in events { study.add(event) }
        case .snapshots(let snapshots): study.add(snapshots)
        case .pageWalks(let walks): study.add(walks)
        }
      })
    if let missing = exit.first(where: { !study.hasShown($0) }) {
      throw CommandError(
        .usage,
        "\(path): there is no finished tree of L2 exit \(missing): its exits of L2 that L1 handled have other numbers"
      )
    }
    return study
  }
}

/// A page that is being written to a path.
private struct PageFile {
  let path: String
  private let file: BufferedFile

  /// Opens the file without emptying it, so that a bad trace costs nothing.
  init(_ path: String) throws(CommandError) {
    self.path = path
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard file >= 0 else {
      throw CommandError(
        .cannotCreateOutput,
        "\(path): cannot be created: \(Output.reason(errno)): expected a path in a writable directory")
    }
    self.file = BufferedFile(file)
  }

  func write(_ text: String) throws(CommandError) {
    file.truncate()
    file.append(Array(text.utf8))
    file.flush()
    if let failure = file.failure {
      throw CommandError(
        .outputIncomplete, "\(path): the report is incomplete: \(Output.reason(failure)): free some space")
    }
  }
}
