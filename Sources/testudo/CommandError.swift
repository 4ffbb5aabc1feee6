import Experiments
import Hypervisor
import KVMProcessor

/// An error that ends the program: one line for people, and its exit status.
struct CommandError: Error {
  var status: ExitStatus
  var message: String

  init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  /// What an error of the layers below means to a user, or nil if it is not one of theirs.
  init?(_ error: any Error) {
    switch error {
    case let error as CommandError: self = error
    case let error as ImageError: self.init(.malformedInput, error.description)
    case let error as ManifestError:
      self.init(error.line == 0 && error.field.isEmpty ? .missingInput : .malformedInput, error.description)
    case let error as ShadowedFieldListError:
      self.init(error.line == 0 ? .missingInput : .malformedInput, error.description)
    case let error as ExperimentError: self.init(error.status, error.description)
    case let error as LinuxGuestError: self.init(.unavailable, error.description)
    case let error as MachineError: self.init(error.status, error.description)
    case let error as KVMError:
      self.init(.unavailable, "\(error.description); --processor software runs anywhere")
    default: return nil
    }
  }
}

extension MachineError {
  fileprivate var status: ExitStatus {
    switch self {
    case .memorySize, .processorCount, .processorsWithoutEPT, .commandLineTooLong, .tooManyModules,
      .moduleTextsTooLong:
      .usage
    case .noMemory: .hostRefused
    case .processorLacks: .unavailable
    }
  }
}

extension ExperimentError {
  fileprivate var status: ExitStatus {
    switch self {
    case .runFailed(_, let outcome): outcome.status(signal: nil)
    case .notMeasured: .malformedInput
    }
  }
}
