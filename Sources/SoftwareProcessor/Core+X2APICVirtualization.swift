import VMX
import X86

// RDMSR and WRMSR of the x2APIC's registers under "virtualize x2APIC mode" (SDM volume 3, "Virtualizing MSR-Based APIC
// Accesses").
extension Core {
  /// The register of the virtual-APIC page that MSR `index` is, or nil if it is none.
  private func virtualRegister(ofMSR index: UInt32) -> UInt64? {
    guard index >> 8 == 8, nonRoot.pointee.secondary.contains(.virtualizeX2APICMode) else { return nil }
    return UInt64(index & 0xFF) << 4
  }

  /// What RDMSR of `index` reads in the virtual-APIC page, or nil if it reads the MSR.
  func readVirtualMSR(_ index: UInt32) -> UInt64? {
    guard let offset = virtualRegister(ofMSR: index),
      offset == VirtualAPICRegister.taskPriority
        || nonRoot.pointee.secondary.contains(.apicRegisterVirtualization)
    else { return nil }
    return loadPhysical(vmcs[.virtualAPICAddress] &+ offset, as: UInt64.self)
  }

  /// Writes `value` to the virtual-APIC page; false if WRMSR of `index` writes the MSR.
  func writeVirtualMSR(_ index: UInt32, _ value: UInt64) throws(Interruption) -> Bool {
    guard let offset = virtualRegister(ofMSR: index) else { return false }
    let allowed: UInt64
    switch offset {
    case VirtualAPICRegister.taskPriority: allowed = 0xFF
    case VirtualAPICRegister.endOfInterrupt where deliversVirtualInterrupts: allowed = 0
    case VirtualAPICRegister.selfIPI where deliversVirtualInterrupts: allowed = 0xFF
    default: return false
    }
    guard value & ~allowed == 0 else { throw raise(.generalProtection) }
    storePhysical(value, at: vmcs[.virtualAPICAddress] &+ offset)
    nonRoot.pointee.virtualAPIC.pendingWrite = UInt16(truncatingIfNeeded: offset)
    return true
  }

  /// MOV to CR8 of a guest with a TPR shadow (SDM volume 3, "Virtualizing CR8-Based TPR Accesses").
  func writeVirtualCR8(_ value: UInt64) {
    virtualAPIC[VirtualAPICRegister.taskPriority] = UInt32(truncatingIfNeeded: value) << 4
    nonRoot.pointee.virtualAPIC.pendingWrite = UInt16(truncatingIfNeeded: VirtualAPICRegister.taskPriority)
  }

  /// CR8 as the guest reads it.
  var visibleCR8: UInt64 { usesTPRShadow ? UInt64(virtualAPIC.taskPriority >> 4) : cpu.pointee.cr8 }
}
