import Platform
import Trace
import VMX

public typealias ResetRequest = Platform.ResetRequest

/// Why somebody outside the machine ended a run.
public enum StopReason: UInt8, CaseIterable, Sendable {
  /// The user interrupted it.
  case interrupted = 1
  /// Its time was over.
  case timeout
}

/// How a run ended.
public enum RunOutcome: Equatable, Sendable {
  /// The guest wrote to the debug-exit port; 0 means success.
  case guestReported(code: UInt32)
  /// The guest turned the machine off.
  case poweredOff
  /// The guest reset the machine, which ends a run.
  case reset(ResetRequest)
  /// A guest hypervisor or guest OS had a triple fault, which shuts a machine down.
  case tripleFault(level: ExitLevel, rip: UInt64)
  /// A guest executed HLT and nothing could wake it.
  case halted(level: ExitLevel, rip: UInt64)
  /// A guest accessed L1-physical memory that the machine does not have.
  case outsideMemory(level: ExitLevel, address: UInt64, rip: UInt64)
  /// L1 failed in a way that ends a machine, such as a VMX abort; the sentence says how.
  case shutdown(sentence: String)
  /// The instruction limit was reached.
  case instructionLimit(UInt64)
  /// Somebody outside ended it.
  case stopped(StopReason)
  /// L0 could not go on, which is a fault of ours and not of the guest; the sentence says why.
  case internalError(sentence: String)

  /// Whether the guest reported success, or ended its work by turning the machine off.
  public var isSuccess: Bool { self == .guestReported(code: 0) || self == .poweredOff }
}

extension RunOutcome: CustomStringConvertible {
  /// One sentence without a full stop at its end.
  public var description: String {
    switch self {
    case .guestReported(code: 0):
      "the guest reported success"
    case .guestReported(let code):
      "the guest reported failure: it wrote \(code) to the debug-exit port, where 0 means success"
    case .poweredOff: "the guest turned the machine off"
    case .reset(let request): "the guest reset the machine by \(request.name)"
    case .tripleFault(let level, let rip):
      "\(level.name) had a triple fault at RIP \(hexadecimal(rip)): it could not deliver an exception "
        + "through its IDT, and the machine shut down"
    case .halted(let level, let rip):
      "\(level.name) halted at RIP \(hexadecimal(rip)) with nothing to wake it: no interrupt source is active"
    case .outsideMemory(let level, let address, let rip):
      "\(level.name) accessed L1-physical address \(hexadecimal(address)) at RIP \(hexadecimal(rip)), where this "
        + "machine has no memory for what was meant to be there; it may need more memory"
    case .shutdown(let sentence), .internalError(let sentence):
      sentence
    case .instructionLimit(let limit):
      "the run reached its limit of \(limit) instructions"
    case .stopped(.interrupted):
      "the run was interrupted"
    case .stopped(.timeout):
      "the run reached its time limit"
    }
  }
}

extension ResetRequest {
  /// What asked for the reset, as sentences name it.
  var name: String {
    switch self {
    case .keyboardController: "its keyboard controller"
    case .systemControlPort: "system control port A"
    case .resetControl(powerCycle: true): "the reset control register (power cycle)"
    case .resetControl(powerCycle: false): "the reset control register"
    case .initialization: "an INIT of its bootstrap processor"
    }
  }
}

/// `value` as sentences show addresses: `0x` and hexadecimal digits without leading zeros.
func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
