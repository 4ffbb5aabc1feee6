/// Where things lie in the memory of the rig's L1, by L1-physical address, which is the linear one, too. L2 without EPT
/// sees the same; the EPT of ``RigVMCS`` maps its memory likewise.
package enum RigPlace {
  /// The operands of VMXON, and of VMCLEAR and VMPTRLD.
  package static let vmxonPointer: UInt64 = 0x20_0000
  package static let vmcsPointer: UInt64 = 0x20_0008
  package static let vmxonRegion: UInt64 = 0x20_1000
  package static let vmcs12: UInt64 = 0x20_2000
  /// What the VMCS link pointer may name.
  package static let linkedVMCS: UInt64 = 0x20_3000

  /// What L1 notes: the exits so far, whether the entry failed, with which flags, with which VM-instruction error.
  package static let exitCount: UInt64 = 0x20_4000
  package static let failed: UInt64 = 0x20_4008
  package static let flags: UInt64 = 0x20_4010
  package static let error: UInt64 = 0x20_4018
  /// After how many exits L1 has seen enough.
  package static let exitLimit: UInt64 = 0x20_4020
  /// The encoding of the last field that VMWRITE refused.
  package static let refusedField: UInt64 = 0x20_4030
  /// What L1 notes of each exit, 128 bytes each.
  package static let exits: UInt64 = 0x20_4080

  package static let virtualAPICPage: UInt64 = 0x20_5000
  package static let apicAccessPage: UInt64 = 0x20_6000
  package static let msrBitmap: UInt64 = 0x20_7000
  package static let ioBitmapA: UInt64 = 0x20_8000
  package static let ioBitmapB: UInt64 = 0x20_9000
  package static let vmreadBitmap: UInt64 = 0x20_A000
  package static let vmwriteBitmap: UInt64 = 0x20_B000
  package static let msrList: UInt64 = 0x20_C000
  package static let pageModificationLog: UInt64 = 0x20_D000
  package static let eptpList: UInt64 = 0x20_E000
  package static let exceptionInformation: UInt64 = 0x20_F000
  package static let postedInterruptDescriptor: UInt64 = 0x21_8000

  /// The four EPT paging structures.
  package static let ept: UInt64 = 0x21_0000
  /// A page that the EPT does not map.
  package static let hole: UInt64 = 0x3F_F000

  package static let l2Code: UInt64 = 0x22_0000
  package static let l2Data: UInt64 = 0x22_8000
  package static let l2Stack: UInt64 = 0x22_F000
  package static let l2TSS: UInt64 = 0x23_0000
  package static let l2IDT: UInt64 = 0x23_1000
  package static let l1Stack: UInt64 = 0x23_F000

  /// The fields that L1 writes by VMWRITE: their count, and from ``tableEntries`` on encoding and value of each.
  package static let table: UInt64 = 0x25_0000
  package static let tableEntries: UInt64 = 0x25_0010
  /// The page directory of a 32-bit L1, and the PDPTEs of a 32-bit host or L2.
  package static let pageDirectory: UInt64 = 0x26_0000
  package static let pdptes: UInt64 = 0x26_1000

  /// The 64-bit paging structures and the GDT that L1 is started with, and the selectors in it.
  package static let pageTables: UInt64 = 0x5000
  package static let gdt: UInt64 = 0x4000
  package static let code32Selector: UInt64 = 0x08
  package static let dataSelector: UInt64 = 0x10
  package static let code64Selector: UInt64 = 0x18
  package static let taskSelector: UInt64 = 0x20

  /// The size of L1's memory.
  package static let memorySize: UInt64 = 4 << 20
}
