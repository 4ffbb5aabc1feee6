import X86

/// The EPT pointer.
///
/// Source: SDM volume 3, "Extended-Page-Table Pointer (EPTP)".
public struct EPTPointer: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// A pointer to the root at `address` of a walk of `walkLength` levels.
  @inlinable
  public init(
    root address: UInt64, memoryType: MemoryType = .writeBack, walkLength: UInt64 = 4,
    enablesAccessedAndDirty: Bool = false
  ) {
    rawValue =
      address & EPTEntry.addressMask | UInt64(memoryType.rawValue & 7) | ((walkLength &- 1) & 7) << 3
      | (enablesAccessedAndDirty ? 1 << 6 : 0)
  }

  /// The memory type of the paging structures, or nil if it is none that EPT can use.
  @inlinable
  public var memoryType: MemoryType? {
    switch rawValue & 7 {
    case 0: .uncacheable
    case 6: .writeBack
    default: nil
    }
  }

  /// The number of levels of a walk.
  @inlinable
  public var walkLength: UInt64 { (rawValue >> 3 & 7) &+ 1 }

  /// Whether accessed and dirty flags are enabled.
  @inlinable
  public var enablesAccessedAndDirty: Bool { rawValue & 1 << 6 != 0 }

  /// Whether supervisor shadow-stack pages are enforced.
  @inlinable
  public var enforcesSupervisorShadowStack: Bool { rawValue & 1 << 7 != 0 }

  /// The physical address of the EPT PML4 or PML5 table.
  @inlinable
  public var root: UInt64 { rawValue & EPTEntry.addressMask }

  /// Whether VM entry and EPTP switching accept the pointer.
  ///
  /// Source: SDM volume 3, "VM-Execution Control Fields" under "Checks on VMX Controls".
  @inlinable
  public func isValid(capability: EPTAndVPIDCapability, physicalWidth: UInt8) -> Bool {
    switch memoryType {
    case .uncacheable: guard capability.contains(.uncacheablePagingStructures) else { return false }
    case .writeBack: guard capability.contains(.writeBackPagingStructures) else { return false }
    default: return false
    }
    switch walkLength {
    case 4: guard capability.contains(.pageWalkLength4) else { return false }
    case 5: guard capability.contains(.pageWalkLength5) else { return false }
    default: return false
    }
    if enablesAccessedAndDirty && !capability.contains(.accessedAndDirtyFlags) { return false }
    if enforcesSupervisorShadowStack && !capability.contains(.supervisorShadowStack) { return false }
    return rawValue & (0xF00 | AddressForm.bitsBeyond(physicalWidth: physicalWidth)) == 0
  }
}
