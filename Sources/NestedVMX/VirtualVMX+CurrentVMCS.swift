import Translation
import VMX
import X86

/// VMCLEAR, VMPTRLD and VMPTRST, and the copying of vmcs12 between L1's memory and L0's page.
extension VirtualVMX {
  /// SDM volume 3, "VMCLEAR—Clear Virtual-Machine Control Structure".
  mutating func vmclear() throws(VMXInstructionFailure) {
    try requireRootOperation()
    let address = try pointerOperand()
    guard isRegionAddress(address) else { throw .fail(.vmclearInvalidAddress) }
    let pointer = PhysicalAddress<L1>(address)
    guard pointer != vmxonPointer else { throw .fail(.vmclearVMXONPointer) }
    if pointer == currentVMCS {
      vmcs12Region.isLaunched = false
      flushCurrentVMCS()
    } else {
      // Another VMCS is wholly in L1's memory; its launch state is there too.
      clearLaunchState(at: pointer)
    }
  }

  mutating func clearLaunchState(at pointer: PhysicalAddress<L1>) {
    guard let bytes = memory.pointer(to: pointer, count: UInt64(VMCS.size)) else { return }
    VMCS(region: bytes).isLaunched = false
    memory.noteWrite(pointer, count: UInt64(VMCS.size))
    work.memoryWrites &+= 1
  }

  /// SDM volume 3, "VMPTRLD—Load Pointer to Virtual-Machine Control Structure".
  mutating func vmptrld() throws(VMXInstructionFailure) {
    try requireRootOperation()
    let address = try pointerOperand()
    guard isRegionAddress(address) else { throw .fail(.vmptrldInvalidAddress) }
    let pointer = PhysicalAddress<L1>(address)
    guard pointer != vmxonPointer else { throw .fail(.vmptrldVMXONPointer) }
    if pointer == currentVMCS { return }
    // The shadow-VMCS indicator is bit 31, which must be 0 without VMCS shadowing.
    let hasShadows = capabilities.allows(SecondaryProcessorBasedControls.vmcsShadowing)
    let indicator = hasShadows ? VMCSRevision.shadowIndicator : 0
    guard revision(at: pointer) & ~indicator == capabilities.basic.revision else {
      throw .fail(.vmptrldIncorrectRevision)
    }
    flushCurrentVMCS()
    loadVMCS(at: pointer)
  }

  /// SDM volume 3, "VMPTRST—Store Pointer to Virtual-Machine Control Structure".
  mutating func vmptrst() throws(VMXInstructionFailure) {
    try requireRootOperation()
    do throws(InstructionFault) {
      try write(currentVMCS?.rawValue ?? .max, try operandAddress(size: 8, .write), 8)
    } catch {
      throw .fault(error)
    }
  }

  /// Copies L1's region at `pointer` into L0's page and makes it current.
  ///
  /// L1 may have written anything into its region, so that every word is cut to its field's width.
  mutating func loadVMCS(at pointer: PhysicalAddress<L1>) {
    guard let bytes = memory.pointer(to: pointer, count: UInt64(VMCS.size)) else { return }
    vmcs12Region.copy(from: VMCS(region: bytes))
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      vmcs12Region[field] = vmcs12Region[field]
    }
    countRegion()
    sync.regionsLoaded &+= 1
    currentVMCS = pointer
    openShadow()
  }

  /// Copies vmcs12 back to L1's region, after which there is no current VMCS.
  mutating func flushCurrentVMCS() {
    guard let pointer = currentVMCS else { return }
    drainShadow()
    if let bytes = memory.pointer(to: pointer, count: UInt64(VMCS.size)) {
      VMCS(region: bytes).copy(from: vmcs12Region)
      memory.noteWrite(pointer, count: UInt64(VMCS.size))
      countRegion()
      sync.regionsFlushed &+= 1
    }
    currentVMCS = nil
    closeShadow()
  }

  /// The work of copying one region.
  mutating func countRegion() {
    work.memoryReads &+= UInt64(VMCS.size / 8)
    work.memoryWrites &+= UInt64(VMCS.size / 8)
    work.fieldsCopied &+= UInt64(VMCSField.count)
  }
}
