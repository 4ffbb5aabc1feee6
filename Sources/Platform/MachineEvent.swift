/// Who asked for a reset of the machine.
public enum ResetRequest: Equatable, Sendable {
  /// The keyboard controller's output port or a pulse of its reset line.
  case keyboardController
  /// System control port A, the fast reset.
  case systemControlPort
  /// The reset control register, which is also ACPI's; whether it asked for a power cycle.
  case resetControl(powerCycle: Bool)
  /// An INIT of the bootstrap processor, which would begin again at its reset vector, where there is no firmware.
  case initialization
}

/// What ends a machine's run from within.
public enum MachineEvent: Equatable, Sendable {
  case reset(ResetRequest)
  /// ACPI soft off.
  case powerOff
  /// A write to the debug-exit port, of this value.
  case guestExit(code: UInt32)
}

/// Where devices leave the event that ends the run. The first counts.
public final class MachineEvents {
  public private(set) var pending: MachineEvent?

  public init() {}

  /// Ends the run by `event`, unless another has ended it.
  public func post(_ event: MachineEvent) {
    if pending == nil { pending = event }
  }

  /// The event, which is forgotten.
  public func take() -> MachineEvent? {
    defer { pending = nil }
    return pending
  }
}
