import VMX
import X86

/// The page-modification log of L2, which L0 keeps for L1: the addresses of the pages whose dirty flags in ept12 were
/// set.
///
/// L0 walks ept12 itself and sets its flags, so that the processor's own logging is not needed.
///
/// Source: SDM volume 3, "Page-Modification Logging".
package struct PageModificationLog<Memory: L1Memory> {
  let vmcs12: VMCS
  let memory: Memory

  /// The number of entries of the log.
  static var capacity: UInt64 { 512 }

  /// Whether the PML index is beyond the log: an accessed or dirty flag that has to be set is a log-full event.
  var isFull: Bool { vmcs12[.guestPMLIndex] >= Self.capacity }

  /// Logs the page of `guest`, and counts the index down.
  func append(_ guest: PhysicalAddress<L2>) {
    let index = vmcs12[.guestPMLIndex]
    guard index < Self.capacity else { return }
    let log = PhysicalAddress<L1>(vmcs12[.pmlAddress])
    _ = memory.store(guest.rawValue & ~0xFFF, at: log + index * 8)
    vmcs12[.guestPMLIndex] = (index &- 1) & 0xFFFF
  }
}

extension VirtualVMX {
  /// The page-modification log of L2, or nil if L1 has none kept.
  package var pageModificationLog: PageModificationLog<Memory>? {
    vmcs12Region.effectiveSecondaryControls.contains(.enablePML)
      ? PageModificationLog(vmcs12: vmcs12Region, memory: memory) : nil
  }
}
