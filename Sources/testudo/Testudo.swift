import ArgumentParser
import Glibc

@main
struct Testudo: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "testudo",
    abstract: "Runs a hypervisor (L1) with its own guest (L2) and accounts for every exit.",
    discussion: ExitStatus.discussion,
    version: "0.1.0",
    subcommands: [
      RunCommand.self, StatCommand.self, ReportCommand.self, TraceCommand.self, CheckCommand.self,
      VMCSCommand.self,
      GuestsCommand.self, DoctorCommand.self, ExperimentCommand.self, PapersCommand.self,
    ])

  /// Runs the command that the arguments name. An error is one line on standard error and an exit status of
  /// ``ExitStatus``.
  static func main() {
    Output.reserveStandardFiles()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      finish(with: error)
    }
  }

  private static func finish(with error: any Error) -> Never {
    if let error = CommandError(error) {
      Output.complain(error.message)
      Glibc.exit(error.status.rawValue)
    }
    let code = exitCode(for: error)
    switch code {
    case .success:
      do { try Output.write(fullMessage(for: error) + "\n") } catch { finish(with: error) }
    case .validationFailure:
      Output.complain(mistake(message(for: error)))
    default:
      Output.complain("\(error)")
    }
    let isKnown = ExitStatus(rawValue: code.rawValue) != nil
    Glibc.exit(isKnown && code != .failure ? code.rawValue : ExitStatus.internalError.rawValue)
  }

  /// What is wrong with the arguments, and where the command that they name is explained.
  private static func mistake(_ message: String) -> String {
    var message = message
    var path = ["testudo"]
    var command: any ParsableCommand.Type = Self.self
    for argument in CommandLine.arguments.dropFirst() {
      let subcommands = command.configuration.subcommands
      guard let next = subcommands.first(where: { $0._commandName == argument }) else {
        if !subcommands.isEmpty, !argument.hasPrefix("-") {
          let names = subcommands.map { $0._commandName }.joined(separator: ", ")
          message = "there is no command '\(argument)': expected one of \(names)"
        }
        break
      }
      path.append(argument)
      command = next
    }
    return "\(message) (see '\(path.joined(separator: " ")) --help')"
  }
}
