import VMX
import X86

/// What the checks on a VM entry depend on beside the VMCS: the processor, and the mode that it is in.
public struct EntryEnvironment: Sendable {
  public var capabilities: VMXCapabilities
  /// The physical-address width, 32 to 52 bits.
  public var physicalWidth: UInt8
  /// The linear-address width that the processor supports, 48 or 57 bits.
  public var linearWidth: UInt64
  /// Whether the processor is in IA-32e mode at VM entry (IA32_EFER.LMA).
  public var isInIA32eMode: Bool
  /// Whether the processor is in system-management mode at VM entry.
  public var isInSMM: Bool
  /// The bits of IA32_EFER that are not reserved.
  public var definedEFER: UInt64
  /// The bits of IA32_PERF_GLOBAL_CTRL that are not reserved.
  public var definedPerfGlobalCtrl: UInt64
  /// The bits of IA32_DEBUGCTL that are not reserved.
  public var definedDebugCtl: UInt64
  /// The physical address of the VMCS, or nil if it has none that a VMCS link pointer could name.
  public var currentVMCSPointer: UInt64?

  public init(
    capabilities: VMXCapabilities, physicalWidth: UInt8, linearWidth: UInt64 = 48, isInIA32eMode: Bool = true,
    isInSMM: Bool = false, definedEFER: UInt64 = EFER.defined.rawValue, definedPerfGlobalCtrl: UInt64 = 0,
    definedDebugCtl: UInt64 = 0xFFC3, currentVMCSPointer: UInt64? = nil
  ) {
    self.capabilities = capabilities
    self.physicalWidth = physicalWidth
    self.linearWidth = linearWidth
    self.isInIA32eMode = isInIA32eMode
    self.isInSMM = isInSMM
    self.definedEFER = definedEFER
    self.definedPerfGlobalCtrl = definedPerfGlobalCtrl
    self.definedDebugCtl = definedDebugCtl
    self.currentVMCSPointer = currentVMCSPointer
  }
}
