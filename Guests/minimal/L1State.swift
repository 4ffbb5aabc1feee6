import CInstructions
import CMinimal
import VMX

/// The host-state fields: what each VM exit loads, which is what L1 has now.
enum L1State {
  private static var codeSelector: UInt64 { 0x08 }
  private static var dataSelector: UInt64 { 0x10 }
  private static var taskSelector: UInt64 { 0x18 }

  static func write(_ mistake: Mistake) {
    vmwrite(.hostCR0, read_cr0())
    vmwrite(.hostCR3, read_cr3())
    vmwrite(.hostCR4, mistake == .hostCR4 ? 0 : read_cr4())
    vmwrite(.hostCSSelector, codeSelector)
    vmwrite(.hostSSSelector, dataSelector)
    vmwrite(.hostDSSelector, dataSelector)
    vmwrite(.hostESSelector, dataSelector)
    vmwrite(.hostFSSelector, dataSelector)
    vmwrite(.hostGSSelector, dataSelector)
    vmwrite(.hostTRSelector, taskSelector)
    vmwrite(.hostFSBase, 0)
    vmwrite(.hostGSBase, 0)
    vmwrite(.hostTRBase, address_of_tss())
    vmwrite(.hostGDTRBase, address_of_gdt())
    vmwrite(.hostIDTRBase, address_of_idt())
    vmwrite(.hostSysenterCS, 0)
    vmwrite(.hostSysenterESP, 0)
    vmwrite(.hostSysenterEIP, 0)
    vmwrite(.hostRSP, address_of_boot_stack_top())
    vmwrite(.hostRIP, address_of_l2_exited())
  }
}
