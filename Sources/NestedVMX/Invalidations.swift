import VMX
import X86

/// A mapping that the processor must forget before the next VM entry.
public enum NestedInvalidation: Equatable, Sendable {
  /// INVEPT, single-context, of this EPTP.
  case ept(UInt64)
  /// INVVPID, single-context, of this VPID.
  case vpid(UInt16)
  /// INVVPID, individual-address, of this VPID and linear address.
  case address(vpid: UInt16, linear: UInt64)
}

/// The invalidations that the hypervisor has not performed yet.
struct PendingInvalidations {
  /// The roots of the composed EPT, by slot.
  var roots: UInt32 = 0
  /// The VPIDs of L2, by slot, whose linear mappings are to be forgotten.
  var vpids: UInt32 = 0
  /// One page of linear addresses of one of them.
  var address: (slot: Int, linear: UInt64)?
  /// Whether to forget the linear mappings of L1.
  var ofL1 = false

  var isEmpty: Bool { roots == 0 && vpids == 0 && address == nil && !ofL1 }
}

extension VirtualVMX {
  /// The next invalidation that the processor must perform, or nil if there is none left.
  public mutating func takeInvalidation() -> NestedInvalidation? {
    if pendingInvalidations.isEmpty { return nil }
    if pendingInvalidations.roots != 0 {
      let slot = pendingInvalidations.roots.trailingZeroBitCount
      pendingInvalidations.roots &= pendingInvalidations.roots &- 1
      return .ept(composed.eptPointer(ofSlot: slot))
    }
    if pendingInvalidations.vpids != 0 {
      let slot = pendingInvalidations.vpids.trailingZeroBitCount
      pendingInvalidations.vpids &= pendingInvalidations.vpids &- 1
      return .vpid(vpid02(ofSlot: slot))
    }
    if let (slot, linear) = pendingInvalidations.address {
      pendingInvalidations.address = nil
      return .address(vpid: vpid02(ofSlot: slot), linear: linear)
    }
    pendingInvalidations.ofL1 = false
    return .vpid(UInt16(truncatingIfNeeded: vmcs01[.vpid]))
  }

  /// Whether L0 uses VPIDs. Without them, every VM entry and VM exit forgets all linear mappings.
  var hasVPIDs02: Bool { vmcs01.effectiveSecondaryControls.contains(.enableVPID) }

  /// The VPID of a slot: those behind L1's, none of which is 0000H.
  func vpid02(ofSlot slot: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: (vmcs01[.vpid] &+ UInt64(slot)) % 0xFFFF &+ 1)
  }
}
