import VMX
import X86

/// A list of MSRs in L1's memory that a VM entry or a VM exit between L1 and L2 loads or stores.
///
/// The nested core reads and writes the list; the hypervisor, which knows the MSRs, performs it.
///
/// Source: SDM volume 3, "VM-Exit Controls for MSRs" and "VM-Entry Controls for MSRs".
public struct MSRList: Equatable, Sendable {
  /// The first entry; 16 bytes each.
  public var address: PhysicalAddress<L1>
  /// The number of entries, at most ``greatestCount``.
  public var count: UInt32
  /// Whether L1 asked for more entries than that: performing the list fails at the first entry beyond.
  public var isTooLong: Bool

  /// The number of entries that IA32_VMX_MISC recommends not to exceed.
  @inlinable public static var greatestCount: UInt32 { 512 }

  @inlinable
  public init(address: UInt64, count: UInt64) {
    self.address = PhysicalAddress(address)
    self.count = UInt32(truncatingIfNeeded: Swift.min(count, UInt64(Self.greatestCount)))
    self.isTooLong = count > UInt64(Self.greatestCount)
  }

  @inlinable
  public var isEmpty: Bool { count == 0 }

  /// The entry number `index`, from 0.
  @inlinable
  public func address(ofEntry index: UInt32) -> PhysicalAddress<L1> { address + UInt64(index) &* 16 }
}

/// One entry of an MSR list.
public struct MSRListEntry: Equatable, Sendable {
  /// The index of the MSR.
  public var index: UInt32
  /// Bits 63:32 of the entry's first word; reserved, must be zero.
  public var reserved: UInt32
  /// The value to load, or the one that was stored.
  public var value: UInt64

  @inlinable
  public init(index: UInt32, reserved: UInt32, value: UInt64) {
    self.index = index
    self.reserved = reserved
    self.value = value
  }

  /// Whether VM entry and VM exit refuse to load the MSR, whatever its value.
  ///
  /// Source: SDM volume 3, "Loading MSRs": the FS and GS bases, the x2APIC range in xAPIC mode aside, reserved bits.
  @inlinable
  public var mustNotBeLoaded: Bool {
    index == 0xC000_0100 || index == 0xC000_0101 || index >> 8 == 8 || index == 0x9B || reserved != 0
  }

  /// Whether a VM exit refuses to store the MSR.
  ///
  /// Source: SDM volume 3, "Saving MSRs".
  @inlinable
  public var mustNotBeStored: Bool { index >> 8 == 8 || index == 0x9E || reserved != 0 }
}
