import ArgumentParser
import Experiments
import Foundation
import Report

struct ExperimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "experiment",
    abstract: "Runs experiments: a question, a matrix of runs, and a recorded result.",
    subcommands: [ExperimentList.self, ExperimentRunCommand.self])
}

/// Where experiments are looked for.
struct ExperimentPlace: ParsableArguments {
  @Option(help: "The folder 'Experiments', or one that contains it.")
  var directory = "."
}

struct ExperimentList: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the experiments.")

  @OptionGroup var place: ExperimentPlace

  func run() throws {
    let folders = ExperimentFolder.all(under: place.directory)
    guard !folders.isEmpty else {
      throw CommandError(
        .missingInput,
        "\(place.directory): no experiments here: expected Experiments/NAME/manifest.yaml; see --directory")
    }
    var table = TextTable(columns: [.init("experiment"), .init("runs", .right), .init("question")])
    for folder in folders {
      let manifest = try folder.manifest()
      table.append([folder.name, "\(manifest.cases.count)", manifest.question])
    }
    try Output.write(table.rendered())
  }
}

struct ExperimentRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs an experiment and prints its table.")

  @Argument(help: "The experiment's name, or the path of its folder or manifest.")
  var experiment: String

  @OptionGroup var place: ExperimentPlace

  @Option(help: ArgumentHelp("Write result.csv and result.svg into this folder.", valueName: "folder"))
  var output: String?

  @Flag(help: "Compare with the recorded result.csv; exit status 65 if anything differs.")
  var check = false

  @Flag(help: "Print the table as Markdown.")
  var markdown = false

  func run() throws {
    guard let folder = ExperimentFolder.find(experiment, under: place.directory) else {
      throw CommandError(
        .missingInput,
        "\(experiment): no such experiment: expected the name of a folder under Experiments in \(place.directory) "
          + "('testudo experiment list' lists them; see --directory), or a path to one")
    }
    let manifest = try folder.manifest()
    let recorded = check ? try recordedResult(of: folder) : nil
    if let output { try createFolder(output) }
    let result = try measured(manifest)
    try Output.write(
      markdown ? result.table.markdown() : result.caption + "\n\n" + result.table.rendered())
    if let output { try write(result, to: ExperimentFolder(path: output)) }
    if let recorded { try compare(result, with: recorded, of: folder) }
  }

  private func measured(_ manifest: Manifest) throws -> ExperimentResult {
    let watchdog = Watchdog(timeout: nil)
    let run = ExperimentRun(manifest) { test, requestStop in
      Output.progress(
        "\(test.workload), "
          + (manifest.comparesDesigns ? test.memoryDesign.rawValue : "VMCS access \(test.vmcsAccess.name)")
          + (manifest.comparesDepths ? ", carriers \(test.carriers)" : ""))
      watchdog.guardRun(requestStop)
    }
    do { return ExperimentResult(manifest: manifest, measurements: try run.measurements()) } catch {
      guard let status = watchdog.signalStatus, let error = CommandError(error) else { throw error }
      throw CommandError(status, error.message)
    }
  }

  private func recordedResult(of folder: ExperimentFolder) throws -> CSVTable {
    guard let recorded = folder.recordedResult() else {
      throw CommandError(
        .missingInput,
        "\(folder.resultPath): no readable recorded result: record one with --output \(folder.path)")
    }
    return recorded
  }

  private func compare(_ result: ExperimentResult, with recorded: CSVTable, of folder: ExperimentFolder)
    throws
  {
    let differences = result.csv.differences(from: recorded)
    guard let first = differences.first else {
      try Output.write("\nequal to the recorded \(folder.resultPath)\n")
      return
    }
    let others = differences.count > 1 ? " (and \(differences.count - 1) other differences)" : ""
    throw CommandError(
      .malformedInput,
      "\(folder.resultPath): \(first)\(others): if the change is meant, record it with --output \(folder.path)"
    )
  }

  private func createFolder(_ path: String) throws {
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw CommandError(
        .cannotCreateOutput, "\(path): cannot create the folder: expected a path in a writable one")
    }
  }

  private func write(_ result: ExperimentResult, to folder: ExperimentFolder) throws {
    for (name, text) in [("result.csv", result.csv.text), ("result.svg", result.chart.svg())] {
      do { try text.write(toFile: folder.file(name), atomically: true, encoding: .utf8) } catch {
        throw CommandError(
          .cannotCreateOutput, "\(folder.file(name)): cannot be written: check the folder's permissions")
      }
    }
  }
}
