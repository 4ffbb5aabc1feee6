import Translation
import VMX
import X86

/// The level of the guest that is running, whichever it is.
enum CurrentGuest: NestingLevel {}

/// An EPT violation or misconfiguration, and the guest-physical address that met it.
struct GuestPhysicalFault: Error {
  var fault: ExtendedFault
  var address: UInt64
  /// Whether it is none of the two but an access to the APIC-access page.
  var isAPICAccess = false
}

/// EPT paging structures in L0-physical memory. A hole reads as ones.
struct HostStructures: PagingStructures {
  typealias Level = L0
  typealias Failure = ExtendedFault
  let core: Core

  func load(_ address: PhysicalAddress<L0>) throws(ExtendedFault) -> UInt64 {
    core.translations.pointee.references.ept &+= 1
    return core.loadPhysical(address.rawValue, as: UInt64.self)
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L0>) throws(ExtendedFault) {
    let entry = core.loadPhysical(address.rawValue, as: UInt16.self)
    core.storePhysical(entry | flags, at: address.rawValue)
  }
}

/// The guest's paging structures, at guest-physical addresses.
struct GuestStructures: PagingStructures {
  typealias Level = CurrentGuest
  typealias Failure = GuestPhysicalFault
  let core: Core

  func load(_ address: PhysicalAddress<CurrentGuest>) throws(GuestPhysicalFault) -> UInt64 {
    let host = try core.structureAddress(of: address, .read)
    core.translations.pointee.references.guest &+= 1
    return core.loadPhysical(host, as: UInt64.self)
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<CurrentGuest>) throws(GuestPhysicalFault) {
    // The walk that read the entry knows where it is: only here is it looked up again.
    let references = core.translations.pointee.references
    defer { core.translations.pointee.references = references }
    let host = try core.structureAddress(of: address, .write)
    let entry = core.loadPhysical(host, as: UInt16.self)
    core.storePhysical(entry | flags, at: host)
  }
}

extension Core {
  /// The number of physical-address bits, as CPUID leaf 80000008H reports it.
  static var physicalAddressWidth: UInt8 { 46 }

  /// Where `linear` is, by the current paging and EPT.
  func translate(
    _ linear: UInt64, access: MemoryAccess, privilege: Privilege
  ) throws(Interruption) -> TranslatedAddress {
    let kind: AccessKind =
      switch access {
      case .read: .read
      case .write: .write
      case .execute: .execute
      }
    let mapping = try guestMapping(linear, kind, privilege)
    do throws(GuestPhysicalFault) {
      let host = try hostAddress(of: mapping.address, ExtendedAccess(kind, isUser: mapping.isUser))
      // A write that completes has set every dirty flag, so the next one needs no walk.
      return TranslatedAddress(physical: host, writable: kind == .write, large: mapping.size != .page4K)
    } catch {
      throw extendedPagingExit(error, linear: linear, mapping)
    }
  }

  private func guestMapping(
    _ linear: UInt64, _ kind: AccessKind, _ privilege: Privilege
  ) throws(Interruption) -> LinearMapping<CurrentGuest> {
    let overridesSMAP = privilege == .supervisor && systemFlags.contains(.ac)
    let access = LinearAccess(kind, isUser: privilege == .user, obeysSMAP: !overridesSMAP)
    do throws(LinearFault<GuestPhysicalFault>) {
      return try linearPaging.translate(linear, for: access, in: GuestStructures(core: self))
    } catch {
      switch error {
      case .pageFault(let code): throw pageFault(at: linear, errorCode: code.rawValue)
      case .structures(let fault): throw extendedPagingExit(fault, linear: linear)
      }
    }
  }

  /// The current paging mode and its controls.
  var linearPaging: LinearPaging {
    let mode = PagingMode(
      paging: cr0.contains(.pg), pae: cr4.contains(.pae), longModeActive: isIA32e)
    var controls: LinearPaging.Controls = []
    if cr0.contains(.wp) { controls.insert(.writeProtect) }
    if cr4.contains(.pse) { controls.insert(.pageSizeExtensions) }
    if cr4.contains(.smep) { controls.insert(.supervisorExecutionPrevention) }
    if cr4.contains(.smap) { controls.insert(.supervisorAccessPrevention) }
    if efer.contains(.nxe) { controls.insert(.executeDisable) }
    if cpu.pointee.missingFeatures.signatureEDX.contains(.pages1GByte) {
      controls.insert(.withoutPagesOf1GByte)
    }
    return LinearPaging(
      mode: mode, cr3: cpu.pointee.cr3, controls: controls,
      physicalAddressWidth: Self.physicalAddressWidth, pdptes: cpu.pointee.pdptes)
  }

  /// The L0-physical address of a guest-physical one: through EPT if it is on.
  func hostAddress(
    of address: PhysicalAddress<CurrentGuest>, _ access: ExtendedAccess
  ) throws(GuestPhysicalFault) -> UInt64 {
    let pointer = nonRoot.pointee.eptPointer
    guard pointer != 0 else { return address.rawValue }
    let isModeBased = nonRoot.pointee.secondary.contains(.modeBasedExecuteControlForEPT)
    let key = GuestPhysicalCache.key(pointer, hasModeBasedExecute: isModeBased)
    let cache = cpu.pointee.machine.guestPhysical
    if let host = cache.pointee.find(address.rawValue, access, key: key) { return host }
    let paging = ExtendedPaging(
      eptp: pointer, physicalAddressWidth: Self.physicalAddressWidth, hasModeBasedExecute: isModeBased)
    do throws(ExtendedFault) {
      let host = try paging.translate(address, for: access, in: HostStructures(core: self)).address.rawValue
      cache.pointee.insert(address.rawValue, access, key: key, host: host)
      return host
    } catch {
      throw GuestPhysicalFault(fault: error, address: address.rawValue)
    }
  }

  /// The same of an entry of the guest's paging structures. The access is a guest-physical one, which on the
  /// APIC-access page causes a VM exit; without EPT it is a physical one, which does not.
  ///
  /// Source: SDM volume 3, "APIC Accesses Not Directly Resulting From Linear Addresses".
  func structureAddress(
    of address: PhysicalAddress<CurrentGuest>, _ kind: AccessKind
  ) throws(GuestPhysicalFault) -> UInt64 {
    let host = try hostAddress(of: address, ExtendedAccess(kind, isPagingStructure: true))
    if host & ~0xFFF == nonRoot.pointee.virtualAPIC.accessPage, nonRoot.pointee.eptPointer != 0 {
      throw GuestPhysicalFault(fault: .misconfiguration, address: address.rawValue, isAPICAccess: true)
    }
    return host
  }

  /// Makes an EPT violation or misconfiguration, or an access to the APIC-access page, the pending VM exit.
  ///
  /// `linear` is nil for accesses without a linear address; `final` is its translation if the access was to that, and
  /// nil if it was to a paging-structure entry on the way there.
  func extendedPagingExit(
    _ fault: GuestPhysicalFault, linear: UInt64?, _ final: LinearMapping<CurrentGuest>? = nil
  ) -> Interruption {
    if fault.isAPICAccess {
      let isDelivering = nonRoot.pointee.virtualAPIC.isDelivering
      return apicAccessExit(
        isDelivering ? .guestPhysicalDuringEventDelivery : .guestPhysicalDuringInstruction, 0)
    }
    switch fault.fault {
    // The processor keeps no page-modification log.
    case .misconfiguration, .logFull:
      _ = vmExit(.eptMisconfiguration)
    case .violation(let bits):
      var qualification = EPTViolationQualification(rawValue: bits)
      if linear != nil { qualification.insert(.linearAddressValid) }
      if let final {
        qualification.formUnion(
          .translation(
            isUser: final.isUser, isWritable: final.isWritable, isExecutable: final.isExecutable))
      }
      _ = vmExit(.eptViolation, qualification: qualification.rawValue)
      cpu.pointee.pending.guestLinearAddress = linear ?? 0
      // An EPT violation invalidates the mapping that caused it (SDM volume 3, "Operations that Invalidate Cached
      // Mappings"); bits 6:3 say that there is one.
      if final != nil, let linear, bits & 0x78 != 0 { forgetTranslation(of: linear) }
      cpu.pointee.machine.guestPhysical.pointee.forget(fault.address)
    }
    cpu.pointee.pending.guestPhysicalAddress = fault.address
    cpu.pointee.pending.savesResumeFlag = true
    cpu.pointee.pending.instructionLength = 0
    return .vmExit
  }
}

// MARK: - PDPTE registers

extension Core {
  /// Loads the PDPTE registers from the table that `cr3` names, for PAE paging; #GP(0) for a reserved bit.
  func loadPDPTEs(cr3: UInt64) throws(Interruption) {
    var entries: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let table = cr3 & 0xFFFF_FFE0
    do throws(GuestPhysicalFault) {
      entries.0 = try loadPDPTE(table)
      entries.1 = try loadPDPTE(table &+ 8)
      entries.2 = try loadPDPTE(table &+ 16)
      entries.3 = try loadPDPTE(table &+ 24)
    } catch {
      throw extendedPagingExit(error, linear: nil)
    }
    guard Self.isValidPDPTE(entries.0), Self.isValidPDPTE(entries.1), Self.isValidPDPTE(entries.2),
      Self.isValidPDPTE(entries.3)
    else { throw raise(.generalProtection) }
    cpu.pointee.pdptes = entries
  }

  private func loadPDPTE(_ address: UInt64) throws(GuestPhysicalFault) -> UInt64 {
    let host = try structureAddress(of: PhysicalAddress(address), .read)
    return loadPhysical(host, as: UInt64.self)
  }

  /// Whether the reserved bits of a present PDPTE are 0 (SDM volume 3, "PDPTE Registers").
  static func isValidPDPTE(_ entry: UInt64) -> Bool {
    entry & 1 == 0 || entry & (0x1E6 | ~((1 << UInt64(physicalAddressWidth)) &- 1)) == 0
  }
}
