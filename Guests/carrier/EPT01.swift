import NestedVMX
import VMX
import X86

/// The EPT that the guest runs with: its memory, and the machine's devices below 4 GByte where they are, by pages of
/// 2 MByte.
struct EPT01 {
  private typealias Table = UnsafeMutablePointer<UInt64>

  let pointer: EPTPointer

  init(_ memory: CarriedMemory, _ pool: PagePool, _ capabilities: EPTAndVPIDCapability) {
    guard
      capabilities.isSuperset(of: [
        .pageWalkLength4, .writeBackPagingStructures, .pages2MByte, .invept, .inveptSingleContext,
      ])
    else { fail("no EPT with four levels, pages of 2 MByte, write-back paging structures and INVEPT") }
    let root = Table(physical: pool.take().address.rawValue)
    let pointers = Self.addTable(to: root, at: 0, pool)
    for gigabyte in 0..<4 {
      let directory = Self.addTable(to: pointers, at: gigabyte, pool)
      for index in 0..<512 {
        directory[index] = Self.entry(UInt64(gigabyte) << 30 | UInt64(index) << 21, memory)
      }
    }
    pointer = EPTPointer(root: root.physical)
  }

  private static func addTable(to parent: Table, at index: Int, _ pool: PagePool) -> Table {
    let table = Table(physical: pool.take().address.rawValue)
    parent[index] = EPTEntry(table: table.physical).rawValue
    return table
  }

  /// What maps the guest's page of 2 MByte at `address`, or 0.
  private static func entry(_ address: UInt64, _ memory: CarriedMemory) -> UInt64 {
    if address < memory.size {
      return EPTEntry(page: memory.base &+ address, permissions: .all, isLarge: true).rawValue
    }
    guard memory.isDevice(address) else { return 0 }
    return EPTEntry(page: address, permissions: .all, memoryType: .uncacheable, isLarge: true).rawValue
  }
}
