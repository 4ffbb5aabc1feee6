/// The debug-exit device: a guest ends its run by writing to it. 0 means success, anything else failure.
///
/// The port and the 4-byte range are those of QEMU's isa-debug-exit at its usual place; the meaning of 0 is ours.
public final class DebugExit: PortDevice {
  /// The device's first port.
  public static let port: UInt16 = 0xF4
  /// The number of its ports.
  public static let portCount: UInt16 = 4

  /// The value written first, or nil as long as none was.
  public private(set) var code: UInt32?
  private let events: MachineEvents?

  /// A device that posts the first write to `events`.
  public init(events: MachineEvents? = nil) { self.events = events }

  public func read(offset: UInt16, size: UInt8) -> UInt32 { 0 }

  public func write(_ value: UInt32, offset: UInt16, size: UInt8) {
    guard code == nil else { return }
    code = value
    events?.post(.guestExit(code: value))
  }
}
