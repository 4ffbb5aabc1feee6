/// The pin-based VM-execution controls: asynchronous events.
///
/// Source: SDM volume 3, "Definitions of Pin-Based VM-Execution Controls".
public struct PinBasedControls: ControlWord {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var externalInterruptExiting: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var nmiExiting: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var virtualNMIs: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var activatePreemptionTimer: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var processPostedInterrupts: Self { Self(rawValue: 1 << 7) }

  @inlinable public static var kind: ControlWordKind { .pinBased }
  @inlinable public static var controlCount: Int { names.count }
  @inlinable public static func control(at position: Int) -> ControlName { names[position] }

  /// Each control and its name in the SDM.
  public static let names: InlineArray<5, ControlName> = [
    ControlName(UInt64(Self.externalInterruptExiting.rawValue), "External-interrupt exiting"),
    ControlName(UInt64(Self.nmiExiting.rawValue), "NMI exiting"),
    ControlName(UInt64(Self.virtualNMIs.rawValue), "Virtual NMIs"),
    ControlName(UInt64(Self.activatePreemptionTimer.rawValue), "Activate VMX-preemption timer"),
    ControlName(UInt64(Self.processPostedInterrupts.rawValue), "Process posted interrupts"),
  ]
}
