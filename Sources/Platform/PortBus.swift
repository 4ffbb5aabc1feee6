/// A device that answers to a range of I/O ports.
///
/// `offset` counts from the first port of the range that the device was attached with; `size` is 1, 2 or 4 bytes, and
/// the access may reach beyond the range's end. Whatever a guest does is answered: no access is an error.
public protocol PortDevice: AnyObject {
  func read(offset: UInt16, size: UInt8) -> UInt32
  func write(_ value: UInt32, offset: UInt16, size: UInt8)
}

/// The I/O ports of a machine: a byte for each port says who claims it. A port that nothing claims reads as all ones and
/// ignores writes.
public struct PortBus {
  /// One claim.
  struct Claim {
    var first: UInt16
    var device: any PortDevice
  }

  /// The greatest number of claims.
  static let claimLimit = 255

  private var claims: [Claim] = []
  /// For each port the position of its claim, plus 1; 0 if nothing claims it.
  private var owners = [UInt8](repeating: 0, count: 0x1_0000)

  public init() {}

  /// Gives `device` the `count` ports from `first`; false, and nothing changed, if one of them is taken, if the range
  /// is empty or runs past port FFFFH, or if there are 255 claims already.
  public mutating func attach(_ device: any PortDevice, at first: UInt16, count: UInt16) -> Bool {
    let (last, overflow) = first.addingReportingOverflow(count &- 1)
    guard count > 0, !overflow, claims.count < Self.claimLimit else { return false }
    let range = Int(first)...Int(last)
    guard owners[range].allSatisfy({ $0 == 0 }) else { return false }
    claims.append(Claim(first: first, device: device))
    for port in range { owners[port] = UInt8(claims.count) }
    return true
  }

  /// What IN of `size` bytes (1, 2 or 4) from `port` reads, zero-extended.
  public func read(_ port: UInt16, size: UInt8) -> UInt32 {
    let owner = owners[Int(port)]
    guard owner != 0 else { return Self.allOnes(size) }
    let claim = claims[Int(owner) - 1]
    return claim.device.read(offset: port &- claim.first, size: size) & Self.allOnes(size)
  }

  /// Performs OUT of the low `size` bytes of `value` to `port`.
  public func write(_ value: UInt32, to port: UInt16, size: UInt8) {
    let owner = owners[Int(port)]
    guard owner != 0 else { return }
    let claim = claims[Int(owner) - 1]
    claim.device.write(value & Self.allOnes(size), offset: port &- claim.first, size: size)
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
