import VMX

/// What the checks on a VM entry read outside the VMCS: memory that its fields name, and the state of the processor.
public struct EntryCircumstances: Equatable, Sendable {
  /// The first eight bytes of the VMCS that the link pointer names, or nil if there is none to read.
  @usableFromInline let linkedVMCS: UInt64?
  /// The virtual TPR, or nil if there is none to read.
  @usableFromInline let virtualTPR: UInt64?
  @usableFromInline let isInIA32eMode: Bool
  @usableFromInline let currentVMCSPointer: UInt64?

  /// Reads what the checks of `vmcs` need. `load` gives the eight bytes at an 8-byte aligned physical address of the
  /// VMCS's own level, or nil where there is no memory.
  @inlinable
  public init(
    of vmcs: VMCS, isInIA32eMode: Bool = true, currentVMCSPointer: UInt64? = nil, load: (UInt64) -> UInt64?
  ) {
    let link = vmcs[.vmcsLinkPointer]
    linkedVMCS = link == .max || link & 0xFFF != 0 ? nil : load(link)
    let virtualAPIC = vmcs[.virtualAPICAddress]
    virtualTPR =
      vmcs.primaryProcessorBasedControls.contains(.useTPRShadow) && virtualAPIC & 0xFFF == 0
      ? load(virtualAPIC | 0x80).map { $0 & 0xFF } : nil
    self.isInIA32eMode = isInIA32eMode
    self.currentVMCSPointer = currentVMCSPointer
  }
}
