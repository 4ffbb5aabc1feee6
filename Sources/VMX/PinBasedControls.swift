/// The pin-based VM-execution controls: asynchronous events.
///
/// Source: SDM volume 3, "Definitions of Pin-Based VM-Execution Controls".
public struct PinBasedControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var externalInterruptExiting: Self { Self(bit: 0) }
  @inlinable public static var nmiExiting: Self { Self(bit: 3) }
  @inlinable public static var virtualNMIs: Self { Self(bit: 5) }
  @inlinable public static var activatePreemptionTimer: Self { Self(bit: 6) }
  @inlinable public static var processPostedInterrupts: Self { Self(bit: 7) }

  @inlinable public static var kind: ControlWordKind { .pinBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<5, ControlName> = [
    ControlName(Self.externalInterruptExiting, "External-interrupt exiting"),
    ControlName(Self.nmiExiting, "NMI exiting"),
    ControlName(Self.virtualNMIs, "Virtual NMIs"),
    ControlName(Self.activatePreemptionTimer, "Activate VMX-preemption timer"),
    ControlName(Self.processPostedInterrupts, "Process posted interrupts"),
  ]
}
