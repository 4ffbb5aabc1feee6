import CostModel
import NestedVMX

extension CostPrices {
  /// What a VMREAD and a VMWRITE cost L1 if they do not exit: by the access model, an instruction or a memory access.
  func accessByL1(_ model: VMCSAccessModel) -> (read: UInt64, write: UInt64) {
    model.isMemoryAccess ? (memoryAccess, memoryAccess) : (vmread, vmwrite)
  }
}
