import VMX
import X86

/// VMXON, VMXOFF and VMCALL, and IA32_FEATURE_CONTROL with the VMX capability MSRs.
extension VirtualVMX {
  /// SDM volume 3, "VMXON—Enter VMX Operation".
  mutating func vmxon() throws(VMXInstructionFailure) {
    guard controlRegister(.guestCR4, .cr4GuestHostMask, .cr4ReadShadow) & CR4.vmxe.rawValue != 0 else {
      throw .invalidOpcode
    }
    try requireMode()
    try requirePrivilege()
    guard !isInVMXOperation else { throw .fail(.vmxonInRootOperation) }
    guard areControlRegistersFixed, allowsVMXON else { throw .generalProtection }
    let address = try pointerOperand()
    guard isRegionAddress(address) else { throw .invalid }
    guard revision(at: PhysicalAddress(address)) == capabilities.basic.revision else { throw .invalid }
    vmxonPointer = PhysicalAddress(address)
    currentVMCS = nil
    fixPaging()
  }

  /// SDM volume 3, "VMXOFF—Leave VMX Operation".
  mutating func vmxoff() throws(VMXInstructionFailure) {
    try requireRootOperation()
    flushCurrentVMCS()
    vmxonPointer = nil
    releasePaging()
    dropComposed(matching: nil)
  }

  /// Has L1's writes of CR0.PE and CR0.PG exit: VMX operation fixes them, although L1 runs as an unrestricted guest.
  ///
  /// Source: SDM volume 3, "Restrictions on VMX Operation".
  private mutating func fixPaging() {
    vmcs01[.cr0ReadShadow] = controlRegister(.guestCR0, .cr0GuestHostMask, .cr0ReadShadow)
    pagingOwnedByL0 = vmcs01[.cr0GuestHostMask] & Merge.pagingOfL1
    vmcs01[.cr0GuestHostMask] |= Merge.pagingOfL1
    work.vmcsReads &+= 3
    work.vmcsWrites &+= 2
  }

  private mutating func releasePaging() {
    vmcs01[.cr0GuestHostMask] = vmcs01[.cr0GuestHostMask] & ~Merge.pagingOfL1 | pagingOwnedByL0
    work.vmcsReads &+= 1
    work.vmcsWrites &+= 1
  }

  /// SDM volume 3, "VMCALL—Call to VM Monitor": there is no SMM monitor to call.
  mutating func vmcall() throws(VMXInstructionFailure) {
    try requireRootOperation()
    throw .fail(.vmcallInRootOperation)
  }

  /// Whether IA32_FEATURE_CONTROL is locked and allows VMXON outside SMX operation.
  var allowsVMXON: Bool {
    featureControl & FeatureControl.lockedWithVMX == FeatureControl.lockedWithVMX
  }

  /// Whether L1's CR0 and CR4 have the values that VMX operation requires.
  var areControlRegistersFixed: Bool {
    capabilities.cr0.permits(controlRegister(.guestCR0, .cr0GuestHostMask, .cr0ReadShadow))
      && capabilities.cr4.permits(controlRegister(.guestCR4, .cr4GuestHostMask, .cr4ReadShadow))
  }

  /// A control register as L1 reads it: the shadow in the bits that L0 owns.
  func controlRegister(_ register: VMCSField, _ mask: VMCSField, _ shadow: VMCSField) -> UInt64 {
    vmcs01[register] & ~vmcs01[mask] | vmcs01[shadow] & vmcs01[mask]
  }

  /// Whether L1 may load `value` into CR0: not in VMX operation with a bit that must be fixed (#GP otherwise).
  public func allowsCR0(_ value: UInt64) -> Bool {
    !isInVMXOperation || capabilities.cr0.permits(value)
  }

  /// Whether L1 may load `value` into CR4: in VMX operation, VMXE among others stays 1 (#GP otherwise).
  public func allowsCR4(_ value: UInt64) -> Bool {
    !isInVMXOperation || capabilities.cr4.permits(value)
  }

  /// What L1's RDMSR of IA32_FEATURE_CONTROL or a VMX capability MSR reads, or nil if `index` is neither.
  public func readMSR(_ index: UInt32) -> UInt64? {
    if index == ModelSpecificRegister.featureControl.rawValue { return featureControl }
    return capabilities.value(ofMSR: index)
  }

  /// Performs L1's WRMSR of such an MSR. Nil if `index` is none of them, false if the write raises #GP(0).
  public mutating func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool? {
    if index == ModelSpecificRegister.featureControl.rawValue {
      guard featureControl & FeatureControl.lock == 0 else { return false }
      guard value & ~FeatureControl.lockedWithVMX == 0 else { return false }
      featureControl = value
      return true
    }
    return capabilities.value(ofMSR: index) == nil ? nil : false
  }
}
