import Translation
import X86

/// L1-physical memory, as the nested core uses it: what ept01 maps, seen from L0.
///
/// Addresses come from L1 and are arbitrary. An implementation answers nil where ept01 maps no RAM; it never traps.
public protocol L1Memory {
  /// The page that ept01 maps at the L1-physical 4-KByte page of `address`, or nil if it maps none.
  func hostPage(of address: PhysicalAddress<L1>) -> HostPage?

  /// The bytes of L1's RAM at `address`, or nil unless `count` bytes (at most to the end of the 4-KByte page) are RAM.
  func pointer(to address: PhysicalAddress<L1>, count: UInt64) -> UnsafeMutableRawPointer?

  /// Records that L0 wrote `count` bytes at `address` through ``pointer(to:count:)``.
  func noteWrite(_ address: PhysicalAddress<L1>, count: UInt64)
}

/// What ept01 says of one 4-KByte page of L1.
public struct HostPage: Equatable, Sendable {
  /// Where the page lies in L0-physical memory.
  public var address: PhysicalAddress<L0>
  /// The permissions that ept01 gives.
  public var permissions: Permissions
  /// The EPT memory type: 6 is write-back.
  public var memoryType: UInt8

  @inlinable
  public init(address: PhysicalAddress<L0>, permissions: Permissions = .all, memoryType: UInt8 = 6) {
    self.address = address
    self.permissions = permissions
    self.memoryType = memoryType
  }
}

/// The 4-KByte pages that L0 keeps for the nested machine: its VMCSs, bitmaps and ept02 tables.
///
/// A pool hands out L0-physical pages, because the processor reaches them by address.
public protocol L0Pages {
  /// A page whose bytes are all zero, or nil if the pool is exhausted.
  func allocate() -> L0Page?
  /// Takes back a page that ``allocate()`` gave.
  func free(_ page: PhysicalAddress<L0>)
  /// The bytes of the L0-physical 4-KByte page at `address` (of the pool, or a bitmap of vmcs01), or nil if L0 has no
  /// memory there.
  func pointer(to address: PhysicalAddress<L0>) -> UnsafeMutableRawPointer?
}

/// One 4-KByte page of L0: its address for the processor, and its bytes for L0.
public struct L0Page: @unchecked Sendable {
  public let address: PhysicalAddress<L0>
  public let bytes: UnsafeMutableRawPointer

  @inlinable
  public init(address: PhysicalAddress<L0>, bytes: UnsafeMutableRawPointer) {
    self.address = address
    self.bytes = bytes
  }
}

extension L1Memory {
  /// The little-endian 64-bit word at `address`, 8-byte aligned, or nil in a hole.
  @inlinable
  func word(at address: PhysicalAddress<L1>) -> UInt64? {
    pointer(to: address, count: 8)?.loadUnaligned(as: UInt64.self)
  }

  /// The byte at `address`; a hole reads as ones, as an unclaimed bus does.
  @inlinable
  func byte(at address: PhysicalAddress<L1>) -> UInt8 {
    pointer(to: address, count: 1)?.load(as: UInt8.self) ?? 0xFF
  }

  /// Stores the little-endian 64-bit word at `address`; false in a hole.
  @inlinable
  func store(_ word: UInt64, at address: PhysicalAddress<L1>) -> Bool {
    guard let bytes = pointer(to: address, count: 8) else { return false }
    bytes.storeBytes(of: word, as: UInt64.self)
    noteWrite(address, count: 8)
    return true
  }
}
