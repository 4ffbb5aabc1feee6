import Translation
import VMX
import X86

/// The leaf entries of ept12 that were dirty when ept02 was given their pages to write: what a VM entry without VPIDs
/// looks at again.
///
/// Such a VM entry invalidates the combined mappings of L2, so that L2's next write finds the dirty flag as it is then,
/// even if L1 has cleared it without INVEPT.
///
/// Source: SDM volume 3, "Operations that Invalidate Cached Mappings"; "Accessed and Dirty Flags for EPT".
struct DirtyLeaves: ~Copyable {
  struct Leaf {
    var entry = PhysicalAddress<L1>(0)
    var guest = PhysicalAddress<L2>(0)
    /// The composed EPT that maps the page, by its slot.
    var slot: UInt8 = 0
  }

  static var capacity: Int { 256 }

  /// Not inline: the nested core stays small, for the compiler may copy what it reads a field of.
  private let leaves: UnsafeMutablePointer<Leaf>
  private(set) var count = 0
  /// The composed EPTs, by slot, that have pages to write which found no room here.
  private var overflowing: UInt32 = 0

  init() {
    leaves = .allocate(capacity: Self.capacity)
    leaves.initialize(repeating: Leaf(), count: Self.capacity)
  }

  deinit { leaves.deallocate() }

  /// Takes note of a leaf; a page may be noted more than once.
  mutating func note(_ entry: PhysicalAddress<L1>, _ guest: PhysicalAddress<L2>, slot: Int) {
    guard count < Self.capacity else {
      overflowing |= 1 << UInt32(slot & 31)
      return
    }
    leaves[count] = Leaf(entry: entry, guest: guest, slot: UInt8(truncatingIfNeeded: slot))
    count &+= 1
  }

  /// The leaf at `position`, from 0 up to ``count`` - 1.
  subscript(position: Int) -> Leaf { leaves[position] }

  /// Forgets the leaf at `position`; the last one takes its place.
  mutating func remove(at position: Int) {
    count &-= 1
    leaves[position] = leaves[count]
  }

  /// Forgets the leaves of the composed EPTs `slots`.
  mutating func forget(slots: UInt32) {
    var position = 0
    while position < count {
      if slots >> UInt32(leaves[position].slot & 31) & 1 != 0 {
        remove(at: position)
      } else {
        position &+= 1
      }
    }
    overflowing &= ~slots
  }

  func isOverflowing(slot: Int) -> Bool { overflowing >> UInt32(slot & 31) & 1 != 0 }
}

extension VirtualVMX {
  /// Has ept02 forget the pages whose dirty flags L1 has cleared, if the VM entry uses no VPID.
  mutating func lookAtDirtyFlags() {
    let slot = composed.current
    guard usesEPT12, paging12.hasAccessedAndDirtyFlags,
      !vmcs12Region.effectiveSecondaryControls.contains(.enableVPID)
    else { return }
    if dirtyLeaves.isOverflowing(slot: slot) { return dropComposed(matching: vmcs12Region[.eptPointer]) }
    var position = 0
    while position < dirtyLeaves.count {
      let leaf = dirtyLeaves[position]
      if Int(leaf.slot) == slot, !isDirty(leaf) {
        composed.unmap(leaf.guest, inSlot: slot, counting: &work)
        pendingInvalidations.roots |= 1 << UInt32(slot)
        dirtyLeaves.remove(at: position)
      } else {
        position &+= 1
      }
    }
  }

  private mutating func isDirty(_ leaf: DirtyLeaves.Leaf) -> Bool {
    work.memoryReads &+= 1
    return (memory.word(at: leaf.entry) ?? 0) & EPTEntry.dirty != 0
  }
}
