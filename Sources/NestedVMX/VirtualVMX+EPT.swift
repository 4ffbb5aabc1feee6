import Translation
import VMX
import X86

/// What became of an EPT violation of L2.
enum EPTOutcome {
  /// ept02 maps the page now.
  case filled
  /// ept12 forbids the access, or is misconfigured: the exit is L1's.
  case forL1(ExitReason, qualification: UInt64)
  /// ept01 maps no such page of L1, or forbids the access.
  case forL0(PhysicalAddress<L1>)
  /// L2 gets a virtualization exception, which is in vmcs02 already.
  case exception
  /// L0 has no page for a table of ept02.
  case exhausted
}

extension VirtualVMX {
  /// Whether L1 runs L2 with EPT.
  var usesEPT12: Bool { vmcs12Region.effectiveSecondaryControls.contains(.enableEPT) }

  /// The EPTP of vmcs02: the composed EPT's, or ept01's if L1 uses no EPT, for then L2-physical is L1-physical.
  mutating func eptPointer02() -> UInt64 {
    guard usesEPT12 else { return vmcs01[.eptPointer] }
    work.memoryReads &+= 1
    if let evicted = composed.select(vmcs12Region[.eptPointer]) {
      pendingInvalidations.roots |= 1 << UInt32(evicted)
      dirtyLeaves.forget(slots: 1 << UInt32(evicted))
    }
    return composed.eptPointer(ofSlot: composed.current)
  }

  /// Answers an EPT violation of L2, from the exit information in vmcs02.
  mutating func handleEPTViolation() -> EPTOutcome {
    work.vmcsReads &+= 2
    let qualification = vmcs02[.exitQualification]
    let guest = PhysicalAddress<L2>(vmcs02[.guestPhysicalAddress])
    guard usesEPT12 else {
      let address = PhysicalAddress<L1>(guest.rawValue)
      let violation = EPTViolationQualification(rawValue: qualification)
      if let access = apicAccess(violation, address) { return .forL1(.apicAccess, qualification: access) }
      return .forL0(address)
    }
    let access = Self.access(qualification)
    let mapping: ExtendedMapping<L1>
    do throws(ExtendedFault) {
      mapping = try walkEPT12(guest, access)
    } catch {
      reflectedViolation = guest
      // An EPT violation invalidates the mapping that caused it (SDM volume 3, "Operations that Invalidate Cached
      // Mappings"), so that L1 may change it without INVEPT. Bits 6:3 say that ept02 has one.
      if qualification & 0x78 != 0 {
        composed.unmap(guest, matching: vmcs12Region[.eptPointer], counting: &work)
      }
      let outcome = Self.outcome(of: error, qualification)
      if case .forL1(.eptViolation, let qualification) = outcome,
        convertsToException(
          guest, linear: vmcs02[.guestLinearAddress], qualification: qualification)
      {
        return .exception
      }
      return outcome
    }
    work.memoryReads &+= UInt64(mapping.references)
    return compose(guest, access, mapping)
  }

  /// The EPT that vmcs12's EPTP describes.
  var paging12: ExtendedPaging {
    ExtendedPaging(
      eptp: vmcs12Region[.eptPointer], physicalAddressWidth: physicalAddressWidth,
      hasModeBasedExecute: vmcs12Region.effectiveSecondaryControls.contains(.modeBasedExecuteControlForEPT))
  }

  /// The EPT of L2, or nil if L1 uses none for it.
  public var extendedPagingOfL2: ExtendedPaging? { isInL2 && usesEPT12 ? paging12 : nil }

  /// Walks ept12 as the processor would for `access`, setting accessed and dirty flags if L1 enabled them.
  func walkEPT12(
    _ guest: PhysicalAddress<L2>, _ access: ExtendedAccess
  ) throws(ExtendedFault) -> ExtendedMapping<L1> {
    let structures = EPT12Structures(memory: memory, log: pageModificationLog)
    let mapping = try structures.translate(guest, for: access, by: paging12)
    if Self.isExecuteOnly(mapping.permissions), !capabilities.eptAndVPID.contains(.executeOnly) {
      throw .misconfiguration
    }
    return mapping
  }

  /// Maps the product of ept12's `mapping` and ept01 in ept02.
  mutating func compose(
    _ guest: PhysicalAddress<L2>, _ access: ExtendedAccess, _ mapping: ExtendedMapping<L1>
  ) -> EPTOutcome {
    guard let (page, permissions) = product(of: mapping),
      page.permissions.contains(Permissions(for: access.kind))
    else { return .forL0(mapping.address) }
    if permissions.contains(.write), paging12.hasAccessedAndDirtyFlags {
      dirtyLeaves.note(mapping.leaf, guest.page, slot: composed.current)
    }
    if fill(guest, page, permissions) { return .filled }
    // The pool is exhausted: the composed EPTs are only a cache, so that all of them can be dropped.
    dropComposed(matching: nil)
    return fill(guest, page, permissions) ? .filled : .exhausted
  }

  /// The page of L0 that ept12's `mapping` and ept01 lead to, and what both allow; nil if that is nothing.
  func product(of mapping: ExtendedMapping<L1>) -> (page: HostPage, permissions: Permissions)? {
    guard let page = hostPage(of: mapping.address) else { return nil }
    // ept01 knows one permission to execute, for all linear addresses.
    let ofPage: Permissions =
      page.permissions.contains(.execute) ? page.permissions.union(.userExecute) : page.permissions
    var permissions = mapping.permissions.intersection(ofPage)
    // The first write has to set ept12's dirty flag, so that ept02 lets writes through only after it.
    if !mapping.isDirty { permissions.remove(.write) }
    guard permissions.contains(.read) || allowsExecuteOnly(permissions) else { return nil }
    return (page, permissions)
  }

  /// Whether ept02 may map a page with `permissions` that lack reading.
  func allowsExecuteOnly(_ permissions: Permissions) -> Bool {
    Self.isExecuteOnly(permissions) && processor.eptAndVPID.contains(.executeOnly)
  }

  static func isExecuteOnly(_ permissions: Permissions) -> Bool {
    !permissions.isEmpty && permissions.isSubset(of: [.execute, .userExecute])
  }

  mutating func fill(_ guest: PhysicalAddress<L2>, _ host: HostPage, _ permissions: Permissions) -> Bool {
    composed.map(guest, to: host.address, permissions, memoryType: host.memoryType, counting: &work)
  }

  /// Drops the composed EPT of `eptp12`, or all, and has the processor forget them.
  mutating func dropComposed(matching eptp12: UInt64?) {
    let dropped = composed.drop(matching: eptp12)
    pendingInvalidations.roots |= dropped
    dirtyLeaves.forget(slots: dropped)
  }

  /// The access of an EPT violation (SDM volume 3, "Exit Qualification for EPT Violations").
  static func access(_ qualification: UInt64) -> ExtendedAccess {
    let kind: AccessKind =
      qualification & 2 != 0 ? .write : qualification & 4 != 0 ? .execute : .read
    let isPagingStructure = qualification & 0x180 == 0x80
    let isUser = qualification & EPTViolationQualification.userLinearAddress.rawValue != 0
    return ExtendedAccess(kind, isPagingStructure: isPagingStructure, isUser: isUser)
  }

  /// What L1 is told of a fault in ept12: the access and the permissions from the walk, all else as on the processor.
  static func outcome(of fault: ExtendedFault, _ qualification: UInt64) -> EPTOutcome {
    switch fault {
    case .violation(let bits):
      return .forL1(.eptViolation, qualification: qualification & ~0x78 | bits)
    case .misconfiguration: return .forL1(.eptMisconfiguration, qualification: 0)
    case .logFull:
      let unblocking = EPTViolationQualification.nmiUnblocking.rawValue
      return .forL1(.pageModificationLogFull, qualification: qualification & unblocking)
    }
  }
}
