import NestedVMX
import X86

/// ept12 as L1 builds it, and ept02 as the processor finds it.
extension TestMachine {
  /// Makes an ept12 whose one EPT page table, for L2-physical 0 to 1FFFFFH, has no entry yet.
  func setTablesOfEPT12() {
    memory[Self.ept12] = (Self.ept12 + 0x1000) | 7
    memory[Self.ept12 + 0x1000] = (Self.ept12 + 0x2000) | 7
    memory[Self.ept12 + 0x2000] = (Self.ept12 + 0x3000) | 7
  }

  func setLeafOfEPT12(_ index: UInt64, _ entry: UInt64) {
    memory[Self.ept12 + 0x3000 + index * 8] = entry
  }

  /// L2 violates ept02 at `address`.
  func violate(_ address: UInt64, _ qualification: UInt64 = 0x181) -> Route {
    vmx.vmcs02[.guestPhysicalAddress] = address
    return exitL2(.eptViolation, qualification: qualification)
  }

  /// What the processor would find in ept02.
  func leafOfEPT02(_ address: UInt64) -> UInt64? {
    var table = vmx.vmcs02[.eptPointer] & 0xF_FFFF_FFFF_F000
    for level: UInt64 in [4, 3, 2, 1] {
      guard let bytes = pages.pointer(to: PhysicalAddress(table)) else { return nil }
      let index = Int(address >> (12 + 9 * (level - 1)) & 0x1FF)
      let entry = bytes.load(fromByteOffset: index * 8, as: UInt64.self)
      if level == 1 { return entry == 0 ? nil : entry }
      if entry & 7 == 0 { return nil }
      table = entry & 0xF_FFFF_FFFF_F000
    }
    return nil
  }
}
