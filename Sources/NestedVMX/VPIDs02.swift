import VMX

/// The VPIDs that L2 runs with: one of L0's for each of the VPIDs that L1 used last, so that a change of VPID forgets
/// nothing, and INVVPID of one is no business of the others.
///
/// The VPID 0000H stands for an L2 without VPIDs, whose linear mappings no transition survives.
/// Source: SDM volume 3, "Virtual Processor Identifiers (VPIDs)".
struct VPIDs02 {
  /// The number of VPIDs of L1 that L0 tells apart at a time.
  static var slotCount: Int { 8 }

  struct Slot {
    /// The VPID of L1, or nil if none has used it yet.
    var vpid12: UInt16?
    /// When it was used last.
    var stamp: UInt64 = 0
  }

  var slots = InlineArray<8, Slot>(repeating: Slot())
  private var clock: UInt64 = 0
  /// The slot that vmcs02 uses.
  private(set) var current = 0

  /// The VPID of L1 that runs or ran last, 0 if it used none.
  var current12: UInt16 { slots[current].vpid12 ?? 0 }

  /// Makes the slot of `vpid12` current; returns whether it was another's, whose mappings are to be forgotten.
  mutating func select(_ vpid12: UInt16) -> Bool {
    clock &+= 1
    let known = slot(of: vpid12)
    let chosen = known ?? oldest
    let wasAnothers = known == nil && slots[chosen].vpid12 != nil
    slots[chosen] = Slot(vpid12: vpid12, stamp: clock)
    current = chosen
    return wasAnothers
  }

  /// The slot of `vpid12`, or nil if L0 has forgotten it, and so all of its mappings.
  func slot(of vpid12: UInt16) -> Int? {
    for slot in 0..<Self.slotCount where slots[slot].vpid12 == vpid12 { return slot }
    return nil
  }

  /// The slots of every VPID of L1 but 0000H.
  var withVPID: UInt32 {
    var found: UInt32 = 0
    for slot in 0..<Self.slotCount {
      if let vpid12 = slots[slot].vpid12, vpid12 != 0 { found |= 1 << UInt32(slot) }
    }
    return found
  }

  private var oldest: Int {
    var oldest = 0
    for slot in 1..<Self.slotCount where slots[slot].stamp < slots[oldest].stamp { oldest = slot }
    return oldest
  }
}

/// How the VPIDs of a processor are divided among the virtual CPUs of L0.
public enum NestedVPIDs {
  /// The VPIDs that one virtual CPU needs: L1's own, and those of L2 that follow it.
  public static var perVirtualCPU: UInt64 { 1 + UInt64(VPIDs02.slotCount) }
}
