/// System control port A (92H): the fast reset and A20, which is always open.
public final class SystemControlPortA: PortDevice {
  private static let reset: UInt8 = 1 << 0
  private static let a20: UInt8 = 1 << 1

  private let events: MachineEvents
  private var latch = a20

  public init(events: MachineEvents) { self.events = events }

  public func read(offset: UInt16, size: UInt8) -> UInt32 { 0xFFFF_FF00 | UInt32(latch) }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    let new = UInt8(truncatingIfNeeded: value)
    if new & ~latch & Self.reset != 0 { events.post(.reset(.systemControlPort)) }
    latch = new & (Self.reset | Self.a20)
  }
}

/// The reset control register (CF9H).
///
/// Source: the I/O controller hubs' data sheets, "Reset Control Register".
public final class ResetControl: PortDevice {
  private static let resetProcessor: UInt8 = 1 << 2
  private static let fullReset: UInt8 = 1 << 3
  private static let writable: UInt8 = 0x0E

  private let events: MachineEvents
  private var latch: UInt8 = 0

  public init(events: MachineEvents) { self.events = events }

  public func read(offset: UInt16, size: UInt8) -> UInt32 { 0xFFFF_FF00 | UInt32(latch) }

  /// The transition of bit 2 from 0 to 1 resets.
  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    let new = UInt8(truncatingIfNeeded: value) & Self.writable
    if new & ~latch & Self.resetProcessor != 0 {
      events.post(.reset(.resetControl(powerCycle: new & Self.fullReset != 0)))
    }
    latch = new
  }
}
