import Translation
import X86

/// L1's memory as a walk of ept12 reads it. A hole reads as all ones, which is an EPT misconfiguration.
struct EPT12Structures<Memory: L1Memory>: PagingStructures {
  typealias Level = L1
  typealias Failure = ExtendedFault

  let memory: Memory

  func load(_ address: PhysicalAddress<L1>) throws(ExtendedFault) -> UInt64 {
    memory.word(at: address) ?? .max
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L1>) throws(ExtendedFault) {
    guard let word = memory.word(at: address) else { return }
    _ = memory.store(word | UInt64(flags), at: address)
  }
}

/// L1's memory as a walk of L1's own page tables reads it. A hole reads as all ones, which is a reserved-bit fault.
package struct L1PageTables<Memory: L1Memory>: PagingStructures {
  package typealias Level = L1
  package typealias Failure = Never

  package let memory: Memory

  package init(memory: Memory) { self.memory = memory }

  package func load(_ address: PhysicalAddress<L1>) -> UInt64 { memory.word(at: address) ?? .max }

  package func setFlags(_ flags: UInt16, at address: PhysicalAddress<L1>) {
    guard let bytes = memory.pointer(to: address, count: 2) else { return }
    bytes.storeBytes(of: bytes.loadUnaligned(as: UInt16.self) | flags, as: UInt16.self)
    memory.noteWrite(address, count: 2)
  }
}

/// Where a walk of L2's page tables met a fault of ept12.
package struct L2StructureFault: Error {
  package var fault: ExtendedFault
  package var address: PhysicalAddress<L2>
}

/// L2's memory as a walk of L2's page tables reads it: through ept12.
package struct L2PageTables<Memory: L1Memory>: PagingStructures {
  package typealias Level = L2
  package typealias Failure = L2StructureFault

  let memory: Memory
  let extended: ExtendedPaging

  package init(memory: Memory, extended: ExtendedPaging) {
    self.memory = memory
    self.extended = extended
  }

  package func load(_ address: PhysicalAddress<L2>) throws(L2StructureFault) -> UInt64 {
    let place = try self.address(of: address, ExtendedAccess(.read, isPagingStructure: true))
    return memory.word(at: place) ?? .max
  }

  package func setFlags(_ flags: UInt16, at address: PhysicalAddress<L2>) throws(L2StructureFault) {
    let place = try self.address(of: address, ExtendedAccess(.write, isPagingStructure: true))
    guard let bytes = memory.pointer(to: place, count: 2) else { return }
    bytes.storeBytes(of: bytes.loadUnaligned(as: UInt16.self) | flags, as: UInt16.self)
    memory.noteWrite(place, count: 2)
  }

  /// The L1-physical address that ept12 gives `address`.
  package func address(
    of address: PhysicalAddress<L2>, _ access: ExtendedAccess
  ) throws(L2StructureFault) -> PhysicalAddress<L1> {
    do throws(ExtendedFault) {
      return try extended.translate(address, for: access, in: EPT12Structures(memory: memory)).address
    } catch {
      throw L2StructureFault(fault: error, address: address)
    }
  }
}
