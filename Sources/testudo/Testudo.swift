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
      RunCommand.self, GuestsCommand.self, DoctorCommand.self, ExperimentCommand.self, PapersCommand.self,
    ])

  /// Runs the command that the arguments name. An error is one line on standard error and an exit status of
  /// ``ExitStatus``.
  static func main() {
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
      Output.write(fullMessage(for: error) + "\n")
    case .validationFailure:
      let command = CommandLine.arguments.dropFirst().first { name in
        configuration.subcommands.contains { $0._commandName == name }
      }
      let help = (["testudo"] + (command.map { [$0] } ?? []) + ["--help"]).joined(separator: " ")
      Output.complain("\(message(for: error)) (see '\(help)')")
    default:
      Output.complain("\(error)")
    }
    let isKnown = ExitStatus(rawValue: code.rawValue) != nil
    Glibc.exit(isKnown && code != .failure ? code.rawValue : ExitStatus.internalError.rawValue)
  }
}
