/// A device that answers to a range of I/O ports.
///
/// `offset` counts from the first port of the range that the device was attached with; `size` is 1, 2 or 4 bytes, and
/// the access may reach beyond the range's end. Whatever a guest does is answered: no access is an error.
public protocol PortDevice: AnyObject {
  func read(offset: UInt16, size: UInt8) -> UInt32
  func write(_ value: UInt32, offset: UInt16, size: UInt8)
}

/// The I/O ports of a machine: a table of ranges. A port that nothing claims reads as all ones and ignores writes.
public struct PortBus {
  /// One claim.
  struct Claim {
    var first: UInt16
    var last: UInt16
    var device: any PortDevice
  }

  private var claims: [Claim] = []

  public init() {}

  /// Gives `device` the `count` ports from `first`; false, and nothing changed, if one of them is taken or the range
  /// is empty or runs past port FFFFH.
  public mutating func attach(_ device: any PortDevice, at first: UInt16, count: UInt16) -> Bool {
    let (last, overflow) = first.addingReportingOverflow(count &- 1)
    guard count > 0, !overflow else { return false }
    guard !claims.contains(where: { $0.first <= last && first <= $0.last }) else { return false }
    claims.append(Claim(first: first, last: last, device: device))
    return true
  }

  /// What IN of `size` bytes (1, 2 or 4) from `port` reads, zero-extended.
  public func read(_ port: UInt16, size: UInt8) -> UInt32 {
    guard let claim = claim(port) else { return Self.allOnes(size) }
    return claim.device.read(offset: port &- claim.first, size: size) & Self.allOnes(size)
  }

  /// Performs OUT of the low `size` bytes of `value` to `port`.
  public func write(_ value: UInt32, to port: UInt16, size: UInt8) {
    guard let claim = claim(port) else { return }
    claim.device.write(value & Self.allOnes(size), offset: port &- claim.first, size: size)
  }

  private func claim(_ port: UInt16) -> Claim? {
    claims.first { $0.first <= port && port <= $0.last }
  }

  /// What `size` bytes of an unclaimed port read.
  static func allOnes(_ size: UInt8) -> UInt32 {
    switch size {
    case 1: 0xFF
    case 2: 0xFFFF
    default: 0xFFFF_FFFF
    }
  }
}
