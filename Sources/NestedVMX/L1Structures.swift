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
