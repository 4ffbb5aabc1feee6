import CHypervisor
import CInstructions
import VMX

/// The host-state fields: what each VM exit loads, which is what the hypervisor has now.
enum HostState {
  private static var codeSelector: UInt64 { 0x08 }
  private static var dataSelector: UInt64 { 0x10 }
  private static var taskSelector: UInt64 { 0x18 }

  /// Writes them into the current VMCS.
  static func write() { forEachField { field, value in vmwrite(field, value) } }

  /// Calls `body` with each of the fields and its value.
  @inline(__always)
  static func forEachField(_ body: (VMCSField, UInt64) -> Void) {
    body(.hostCR0, read_cr0())
    body(.hostCR3, read_cr3())
    body(.hostCR4, read_cr4())
    body(.hostCSSelector, codeSelector)
    body(.hostSSSelector, dataSelector)
    body(.hostDSSelector, dataSelector)
    body(.hostESSelector, dataSelector)
    body(.hostFSSelector, dataSelector)
    body(.hostGSSelector, dataSelector)
    body(.hostTRSelector, taskSelector)
    body(.hostFSBase, 0)
    body(.hostGSBase, 0)
    body(.hostTRBase, address_of_tss())
    body(.hostGDTRBase, address_of_gdt())
    body(.hostIDTRBase, address_of_idt())
    body(.hostSysenterCS, 0)
    body(.hostSysenterESP, 0)
    body(.hostSysenterEIP, 0)
    body(.hostRSP, address_of_boot_stack_top())
    body(.hostRIP, address_of_guest_exited())
  }
}
