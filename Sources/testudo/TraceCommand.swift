import ArgumentParser
import ExitAnalysis
import Experiments
import Glibc
import Report
import Trace

struct TraceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Works with traces.",
    subcommands: [TraceExportCommand.self, TraceFieldsCommand.self, TraceShowCommand.self])
}

extension TraceExportFormat: ExpressibleByArgument {}

struct TraceExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a trace in the format of another tool.",
    discussion: """
      chrome: JSON that Chrome's tracing page and Perfetto open. perfetto: Perfetto's protobuf. csv: one line an exit. \
      kvm: the text of Linux's kvm tracepoints, as trace-cmd prints it.
      """)

  @Argument(help: ArgumentHelp("A trace, as 'testudo run --trace' writes it.", valueName: "file.trace"))
  var file: String

  @Option(help: "The format.")
  var format: TraceExportFormat

  @Option(help: ArgumentHelp("Where to write (default: standard output).", valueName: "file"))
  var output: String?

  func run() throws {
    var input = try TraceInput(file, isForPrograms: output == nil)
    let target = try makeTarget()
    var exporter = format.exporter(for: input.description)
    target.append(exporter.opening(input.description))
    _ = try input.forEach { event throws(CommandError) in
      target.append { exporter.append(event, to: &$0) }
      if target.failure != nil { throw incomplete(target) }
    }
    target.append(exporter.closing())
    target.flush()
    if target.failure != nil { throw incomplete(target) }
  }

  private func makeTarget() throws(CommandError) -> BufferedFile {
    guard let output else { return BufferedFile(STDOUT_FILENO, isOwned: false) }
    let target = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard target >= 0 else {
      throw CommandError(
        .cannotCreateOutput,
        "\(output): cannot be created: \(Output.reason(errno)): expected a path in a writable directory")
    }
    return BufferedFile(target)
  }

  private func incomplete(_ target: BufferedFile) -> CommandError {
    guard let output else { return Output.incomplete(target.failure ?? 0) }
    return CommandError(
      .outputIncomplete,
      "\(output): the export is incomplete: \(Output.reason(target.failure ?? 0)): free some space")
  }
}

struct TraceShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Shows what a trace is of, and whether it is whole.")

  @Argument(help: ArgumentHelp("A trace, as 'testudo run --trace' writes it.", valueName: "file.trace"))
  var file: String

  func run() throws {
    var input = try TraceInput(file)
    var text = input.description.entries.map { "\($0.key): \($0.value)\n" }.joined()
    var count: UInt64 = 0
    let ending = try input.forEach { _ throws(CommandError) in count &+= 1 }
    text += "exits: \(grouped(count))\n"
    if case .complete(let summary) = ending { text += "end: \(summary.sentence)\n" }
    try Output.write(text)
  }
}

struct TraceFieldsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fields",
    abstract:
      "Lists the VMCS fields whose VMREADs and VMWRITEs exited most, for --vmcs-access hardware:FILE.",
    discussion: """
      Reads traces of runs with --vmcs-access off and prints the most used fields, the most used first: a list for \
      --vmcs-access hardware:FILE. A field that L1 never wrote is listed for VMREAD only.
      """)

  @Argument(help: ArgumentHelp("Traces, as 'testudo run --trace' writes them.", valueName: "file.trace"))
  var files: [String]

  @Option(help: ArgumentHelp("How many fields to list (default: all).", valueName: "count"))
  var top: Int?

  func validate() throws {
    if let top, top < 1 {
      throw ValidationError("The value of '--top <count>' is \(top): expected at least 1")
    }
  }

  func run() throws {
    var counts = FieldCounts()
    for file in files {
      var input = try TraceInput(file)
      _ = try input.forEach { event throws(CommandError) in counts.add(event) }
    }
    let rows = counts.rows.prefix(top ?? .max).compactMap { row in
      row.field.map { (field: $0, isWritable: row.writes > 0) }
    }
    try Output.write(
      ShadowedFieldList.text(
        rows, comment: "the \(rows.count) fields most used in \(files.joined(separator: ", "))"))
  }
}
