/// A device that answers to a range of L1-physical addresses.
///
/// `offset` counts from the first byte of the range that the device was attached with; `size` is 1, 2, 4 or 8 bytes, and
/// the access may reach beyond the range's end. Whatever a guest does is answered: no access is an error.
public protocol MemoryDevice: AnyObject {
  func read(offset: UInt64, size: UInt8) -> UInt64
  func write(_ value: UInt64, offset: UInt64, size: UInt8)
}

/// The memory-mapped devices of a machine: a table of ranges in the order of their addresses. An address that nothing claims reads as all ones and ignores
/// writes.
public struct MemoryBus {
  /// One claim.
  struct Claim {
    var first: UInt64
    var last: UInt64
    var device: any MemoryDevice
  }

  private var claims: [Claim] = []

  public init() {}

  /// Gives `device` the `count` bytes from `first`; false, and nothing changed, if one of them is taken or the range is
  /// empty or runs past the end of the address space.
  public mutating func attach(_ device: any MemoryDevice, at first: UInt64, count: UInt64) -> Bool {
    let (last, overflow) = first.addingReportingOverflow(count &- 1)
    guard count > 0, !overflow else { return false }
    let position = countOfClaims(from: first)
    if position > 0, claims[position - 1].last >= first { return false }
    if position < claims.count, claims[position].first <= last { return false }
    claims.insert(Claim(first: first, last: last, device: device), at: position)
    return true
  }

  /// Whether a device answers at `address`.
  public func claims(_ address: UInt64) -> Bool { claim(address) != nil }

  /// The `size` bytes (1, 2, 4 or 8) at `address`, zero-extended.
  public func read(_ address: UInt64, size: UInt8) -> UInt64 {
    guard let claim = claim(address) else { return Self.allOnes(size) }
    return claim.device.read(offset: address &- claim.first, size: size) & Self.allOnes(size)
  }

  /// Writes the low `size` bytes of `value` at `address`.
  public func write(_ value: UInt64, to address: UInt64, size: UInt8) {
    guard let claim = claim(address) else { return }
    claim.device.write(value & Self.allOnes(size), offset: address &- claim.first, size: size)
  }

  /// How many claims begin at or below `address`.
  private func countOfClaims(from address: UInt64) -> Int {
    var range = 0..<claims.count
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      range =
        claims[middle].first <= address ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return range.lowerBound
  }

  private func claim(_ address: UInt64) -> Claim? {
    let count = countOfClaims(from: address)
    guard count > 0, address <= claims[count - 1].last else { return nil }
    return claims[count - 1]
  }

  /// What `size` bytes of an unclaimed address read.
  static func allOnes(_ size: UInt8) -> UInt64 {
    size >= 8 ? .max : (1 << (UInt64(size) &* 8)) &- 1
  }
}
