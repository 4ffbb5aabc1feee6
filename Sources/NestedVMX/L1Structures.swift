import Translation
import X86

/// L1's memory as a walk of ept12 reads it. A hole reads as all ones, which is an EPT misconfiguration.
struct EPT12Structures<Memory: L1Memory>: PagingStructures {
  typealias Level = L1
  typealias Failure = ExtendedFault

  let memory: Memory
  /// The page-modification log of L2, if L1 has one kept.
  let log: PageModificationLog<Memory>?

  func load(_ address: PhysicalAddress<L1>) throws(ExtendedFault) -> UInt64 {
    memory.word(at: address) ?? .max
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L1>) throws(ExtendedFault) {
    if let log, log.isFull { throw .logFull }
    guard let word = memory.word(at: address) else { return }
    _ = memory.store(word | UInt64(flags), at: address)
  }
}

extension EPT12Structures {
  /// Translates `guest` by ept12, `paging`, and logs it if the access has set a dirty flag.
  func translate(
    _ guest: PhysicalAddress<L2>, for access: ExtendedAccess, by paging: ExtendedPaging
  ) throws(ExtendedFault) -> ExtendedMapping<L1> {
    let mapping = try paging.translate(guest, for: access, in: self)
    if mapping.becameDirty { log?.append(guest) }
    return mapping
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
  /// Whether it is no fault of ept12 but an access to the APIC-access page.
  package var isAPICAccess = false
}

/// L2's memory as a walk of L2's page tables reads it: through ept12.
package struct L2PageTables<Memory: L1Memory>: PagingStructures {
  package typealias Level = L2
  package typealias Failure = L2StructureFault

  let memory: Memory
  let extended: ExtendedPaging
  let log: PageModificationLog<Memory>?
  let apicAccessPage: PhysicalAddress<L1>?

  package init(
    memory: Memory, extended: ExtendedPaging, log: PageModificationLog<Memory>? = nil,
    apicAccessPage: PhysicalAddress<L1>? = nil
  ) {
    self.memory = memory
    self.extended = extended
    self.log = log
    self.apicAccessPage = apicAccessPage
  }

  package func load(_ address: PhysicalAddress<L2>) throws(L2StructureFault) -> UInt64 {
    let place = try structure(at: address, .read)
    return memory.word(at: place) ?? .max
  }

  package func setFlags(_ flags: UInt16, at address: PhysicalAddress<L2>) throws(L2StructureFault) {
    let place = try structure(at: address, .write)
    guard let bytes = memory.pointer(to: place, count: 2) else { return }
    bytes.storeBytes(of: bytes.loadUnaligned(as: UInt16.self) | flags, as: UInt16.self)
    memory.noteWrite(place, count: 2)
  }

  /// The L1-physical address of an entry of L2's paging structures. On the APIC-access page the access, which is a
  /// guest-physical one, causes a VM exit.
  ///
  /// Source: SDM volume 3, "APIC Accesses Not Directly Resulting From Linear Addresses".
  package func structure(
    at address: PhysicalAddress<L2>, _ kind: AccessKind
  ) throws(L2StructureFault) -> PhysicalAddress<L1> {
    let place = try self.address(of: address, ExtendedAccess(kind, isPagingStructure: true))
    guard apicAccessPage == nil || apicAccessPage != place.page else {
      throw L2StructureFault(fault: .misconfiguration, address: address, isAPICAccess: true)
    }
    return place
  }

  /// The L1-physical address that ept12 gives `address`.
  package func address(
    of address: PhysicalAddress<L2>, _ access: ExtendedAccess
  ) throws(L2StructureFault) -> PhysicalAddress<L1> {
    do throws(ExtendedFault) {
      let structures = EPT12Structures(memory: memory, log: log)
      return try structures.translate(address, for: access, by: extended).address
    } catch {
      throw L2StructureFault(fault: error, address: address)
    }
  }
}
