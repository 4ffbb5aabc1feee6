import Hypervisor

/// What this program's exit status means: sysexits.h where it has a word, timeout(1) and the shell elsewhere.
enum ExitStatus: Int32, CaseIterable {
  case success = 0
  case guestFailure = 1
  case usage = 64
  case malformedInput = 65
  case missingInput = 66
  case unavailable = 69
  case internalError = 70
  case hostRefused = 71
  case cannotCreateOutput = 73
  case outputIncomplete = 74
  case limitReached = 124
  case hungUp = 129
  case interrupted = 130
  case terminated = 143

  var meaning: String {
    switch self {
    case .success: "the guest or the checked VM entry succeeds, or there was nothing to run"
    case .guestFailure:
      "the guest fails or ends in another way, or the checked VM entry fails"
    case .usage: "an option or argument makes no sense"
    case .malformedInput: "an image, manifest, recorded result or dump is malformed or differs"
    case .missingInput: "an image, experiment, paper or dump does not exist or cannot be read"
    case .unavailable: "what was asked for is not available, such as KVM on this host"
    case .internalError: "testudo itself failed"
    case .hostRefused: "the host refused a resource, such as memory"
    case .cannotCreateOutput: "an output file cannot be created"
    case .outputIncomplete:
      "an output file, standard output or a disk image could not be written"
    case .limitReached: "--timeout or --limit-instructions ended the run"
    case .hungUp: "SIGHUP, the end of the terminal, ended the run"
    case .interrupted: "SIGINT (Ctrl-C, or Ctrl-A X at the guest's console) ended the run"
    case .terminated: "SIGTERM ended the run"
    }
  }

  /// The table for `--help`.
  static var discussion: String {
    let lines = allCases.map { status in
      let number = String(status.rawValue)
      return String(repeating: " ", count: 5 - number.count) + number + "  " + status.meaning
    }
    return "EXIT STATUS:\n" + lines.joined(separator: "\n")
  }
}

extension RunOutcome {
  /// The exit status of a run that ended so; `signal` is the status that a signal asked for, if one ended it.
  func status(signal: ExitStatus?) -> ExitStatus {
    switch self {
    case .guestReported(code: 0), .poweredOff: .success
    case .guestReported, .reset, .tripleFault, .halted, .outsideMemory, .shutdown: .guestFailure
    case .instructionLimit, .stopped(.timeout): .limitReached
    case .stopped(.interrupted): signal ?? .interrupted
    case .internalError: .internalError
    }
  }
}
