import VMX
import X86

/// A mapping that the processor must forget before the next VM entry.
public enum NestedInvalidation: Equatable, Sendable {
  /// INVEPT, single-context, of this EPTP.
  case ept(UInt64)
  /// INVVPID, single-context, of this VPID.
  case vpid(UInt16)
}

/// The invalidations that the hypervisor has not performed yet.
struct PendingInvalidations {
  /// The roots of the composed EPT, by slot.
  var roots: UInt32 = 0
  /// Whether to forget the linear mappings of L2.
  var ofL2 = false
  /// Whether to forget the linear mappings of L1.
  var ofL1 = false

  var isEmpty: Bool { roots == 0 && !ofL2 && !ofL1 }
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
    if pendingInvalidations.ofL2 {
      pendingInvalidations.ofL2 = false
      return .vpid(UInt16(truncatingIfNeeded: vpid02))
    }
    pendingInvalidations.ofL1 = false
    return .vpid(UInt16(truncatingIfNeeded: vmcs01[.vpid]))
  }

  /// The VPID of L2: one that is not L1's, or 0 if L0 uses no VPIDs.
  var vpid02: UInt64 {
    guard vmcs01.effectiveSecondaryControls.contains(.enableVPID) else { return 0 }
    return vmcs01[.vpid] == 0xFFFF ? 1 : vmcs01[.vpid] &+ 1
  }
}
