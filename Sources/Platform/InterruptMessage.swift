/// An interrupt on its way to local APICs: an IPI, an I/O APIC's or a device's message.
///
/// Source: SDM volume 3, "Interrupt Command Register (ICR)".
public struct InterruptMessage: Equatable, Sendable {
  public enum DeliveryMode: UInt8, Sendable {
    case fixed = 0
    case lowestPriority = 1
    case systemManagement = 2
    case reserved = 3
    case nonMaskable = 4
    case initialize = 5
    case startUp = 6
    case external = 7
  }

  /// The destination that means every local APIC.
  public static let broadcast: UInt32 = 0xFFFF_FFFF

  public var vector: UInt8
  public var mode: DeliveryMode
  /// An APIC identifier or a logical destination, as a 32-bit APIC sees it.
  public var destination: UInt32
  public var isLogical: Bool
  public var isLevelTriggered: Bool

  public init(
    vector: UInt8, mode: DeliveryMode = .fixed, destination: UInt32, isLogical: Bool = false,
    isLevelTriggered: Bool = false
  ) {
    self.vector = vector
    self.mode = mode
    self.destination = destination
    self.isLogical = isLogical
    self.isLevelTriggered = isLevelTriggered
  }

  /// The mode in bits 10:8 of a redirection or LVT entry, an ICR or the data of an MSI.
  static func mode(in bits: UInt32) -> DeliveryMode {
    DeliveryMode(rawValue: UInt8(truncatingIfNeeded: bits >> 8 & 7)) ?? .reserved
  }

  /// What an 8-bit destination field means: FFH is everybody.
  static func destination(_ field: UInt8) -> UInt32 { field == 0xFF ? broadcast : UInt32(field) }

  /// The message of a device that writes `data` to `address`, or nil if the address is no such message's.
  ///
  /// Source: SDM volume 3, "Message Signalled Interrupts".
  public init?(address: UInt64, data: UInt32) {
    guard address >> 20 == 0xFEE else { return nil }
    self.init(
      vector: UInt8(truncatingIfNeeded: data), mode: Self.mode(in: data),
      destination: Self.destination(UInt8(truncatingIfNeeded: address >> 12)),
      isLogical: address & 4 != 0, isLevelTriggered: data & 1 << 15 != 0)
  }
}
