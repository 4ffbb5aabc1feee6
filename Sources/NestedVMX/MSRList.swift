import VMX
import X86

/// A list of MSRs in L1's memory that a VM entry or a VM exit between L1 and L2 loads or stores.
///
/// The nested core reads and writes the list; the hypervisor, which knows the MSRs, performs it.
///
/// Source: SDM volume 3, "VM-Exit Controls for MSRs" and "VM-Entry Controls for MSRs".
public struct MSRList: Equatable, Sendable {
  /// The first entry; ``MSREntry/size`` bytes each.
  public var address: PhysicalAddress<L1>
  /// The number of entries to perform, at most ``greatestCount``.
  public var count: UInt32
  /// Whether L1 asked for more entries than that: performing the list fails at the first one beyond.
  public var isTooLong: Bool

  /// The number of entries that IA32_VMX_MISC recommends not to exceed.
  @inlinable public static var greatestCount: UInt32 { 512 }
  /// A list without entries.
  @inlinable public static var none: Self { Self(address: 0, count: 0) }

  @inlinable
  public init(address: UInt64, count: UInt64) {
    self.address = PhysicalAddress(address)
    self.count = UInt32(truncatingIfNeeded: min(count, UInt64(Self.greatestCount)))
    self.isTooLong = count > UInt64(Self.greatestCount)
  }

  /// Whether there is nothing to perform.
  @inlinable
  public var isEmpty: Bool { count == 0 }

  /// Where entry number `position` lies, from 0.
  @inlinable
  public func address(ofEntry position: UInt32) -> PhysicalAddress<L1> {
    address + UInt64(position) &* MSREntry.size
  }
}

extension MSREntry {
  /// Whether VM entries and VM exits refuse to load the MSR, whatever its value: the bases of FS and GS, the x2APIC
  /// range, IA32_SMM_MONITOR_CTL, and entries with reserved bits.
  ///
  /// Source: SDM volume 3, "Loading MSRs".
  @inlinable
  public var mustNotBeLoaded: Bool {
    hasReservedBits || index == ModelSpecificRegister.fsBase.rawValue
      || index == ModelSpecificRegister.gsBase.rawValue || index >> 8 == 8 || index == 0x9B
  }

  /// Whether VM exits refuse to store the MSR: the x2APIC range, IA32_SMBASE, and entries with reserved bits.
  ///
  /// Source: SDM volume 3, "Saving MSRs".
  @inlinable
  public var mustNotBeStored: Bool { hasReservedBits || index >> 8 == 8 || index == 0x9E }
}

extension VirtualVMX {
  /// Entry number `position` of `list`, from 0; one that L1 has no memory for reads as all ones, which no MSR is.
  public mutating func entry(_ position: UInt32, of list: MSRList) -> MSREntry {
    work.memoryReads &+= 2
    let address = list.address(ofEntry: position)
    return MSREntry(
      low: memory.word(at: address) ?? .max, value: memory.word(at: address + 8) ?? .max)
  }

  /// Stores the value of an MSR in entry number `position` of `list`; false if L1 has no memory there.
  public mutating func store(_ value: UInt64, inEntry position: UInt32, of list: MSRList) -> Bool {
    work.memoryWrites &+= 1
    return memory.store(value, at: list.address(ofEntry: position) + 8)
  }
}
