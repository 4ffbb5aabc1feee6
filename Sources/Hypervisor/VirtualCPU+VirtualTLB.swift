import NestedVMX
import Processor
import Translation
import VMX
import X86

/// A page of a guest as an active page-table hierarchy maps it.
struct GuestPage {
  var linear: UInt64
  /// The entry that maps its 4 KByte.
  var leaf: UInt64
  /// How large the page is in the guest's page tables.
  var size: MappingSize
}

/// Running guests without EPT: ``MemoryDesign/shadowOnShadow``.
extension VirtualCPU {
  /// Enters the guest that runs.
  mutating func enterProcessor() -> EntryOutcome {
    let vmcs = vmx.running
    guard virtualTLB != nil else { return processor.enter(vmcs) }
    var accesses: UInt64 = 0
    if virtualTLB?.arm(vmcs, counting: &accesses) ?? false { forgetLinearMappingsOfProcessor(vmcs[.vpid]) }
    work.pointee.vmcsWrites &+= accesses
    let outcome = processor.enter(vmcs)
    virtualTLB?.disarm(vmcs)
    return outcome
  }

  /// Why the guest cannot be entered, if it cannot: outside protected mode a processor runs guests with EPT alone.
  var obstacle: RunOutcome? {
    mutating get {
      guard virtualTLB != nil, !CR0(rawValue: vmx.running[.guestCR0]).contains(.pe) else { return nil }
      return .shutdown(
        sentence:
          "\(level.name) is in real-address mode at RIP \(hexadecimal(guest[.guestRIP])), where a guest needs EPT: "
          + "use --memory-design ept-on-ept or shadow-on-ept, or start the image by --boot linux or entry64")
    }
  }

  /// Handles an exit that the virtual TLB alone has asked for; false if it is for others, too. A page fault may turn out to
  /// be an access of what is no memory, and becomes the EPT violation that it would be with EPT.
  mutating func handleByVirtualTLB(_ reason: inout ExitReasonField) -> Bool {
    switch reason.basic {
    case .exceptionOrNMI where isPageFault: return handlePageFault(&reason)
    case .invlpg where !isForL1(.invlpgExiting):
      forgetLinearMapping(of: guest[.exitQualification], vpid: guest[.vpid])
      guest.completeInstruction()
      return true
    case .invpcid where !isForL1(.invlpgExiting):
      emulateINVPCID()
      return true
    default: return false
    }
  }

  /// INVPCID, whose privilege the processor has checked.
  ///
  /// Source: SDM volume 2, "INVPCID—Invalidate Process-Context Identifier".
  private mutating func emulateINVPCID() {
    do throws(GuestFault) {
      try invalidateByPCID()
      guest.completeInstruction()
    } catch {
      give(error)
    }
  }

  /// Gives the guest the exception of `fault`, or L1 the VM exit that it has asked for.
  private mutating func give(_ fault: GuestFault) {
    let pageFaultAddress = registers.pointee.cr2
    take(fault)
    guard let exit = vmx.interceptedException() else { return }
    registers.pointee.cr2 = pageFaultAddress
    reflect(exit)
  }

  private mutating func invalidateByPCID() throws(GuestFault) {
    let guest = guest
    let space = addressSpace
    let emulator = InstructionEmulator(space, try space.fetchInstruction())
    let place = try emulator.operandAddress(size: 16, .read)
    let descriptor = try space.load(place, size: 8)
    let linear = try space.load(place &+ 8, size: 8)
    let type =
      guest[GeneralRegister(number: UInt64(emulator.instruction.operand0.register))]
      & (guest.is64Bit ? .max : 0xFFFF_FFFF)
    let pcid = descriptor & 0xFFF
    guard type <= 3, descriptor >> 12 == 0, type > 1 || pcid == 0 || guest.visibleCR4.contains(.pcide),
      type != 0 || AddressForm.isCanonical(linear)
    else { throw .exception(.generalProtection) }
    let vpid = guest.vmcs[.vpid]
    switch type {
    case 0: forgetLinearMapping(of: linear, vpid: vpid)
    case 1: forgetLinearMappings(vpid: vpid, pcid: pcid)
    default: forgetLinearMappings(vpid: vpid)
    }
  }

  private var isPageFault: Bool {
    let event = guest.vmcs.exitInterruptionInformation
    return event.kind == .hardwareException && event.vector == ExceptionVector.pageFault.rawValue
  }

  /// Whether L2 runs, and L1 has asked for the exits of `control`.
  private func isForL1(_ control: PrimaryProcessorBasedControls) -> Bool {
    vmx.isInL2 && vmx.vmcs12?.primaryProcessorBasedControls.contains(control) ?? false
  }

  /// Maps the page that the guest's page tables have there; false if they have none, and the fault is the guest's.
  private mutating func handlePageFault(_ reason: inout ExitReasonField) -> Bool {
    let guest = guest
    let linear = guest[.exitQualification]
    let code = PageFaultErrorCode(rawValue: UInt32(truncatingIfNeeded: guest[.exitInterruptionErrorCode]))
    let kind = kind(of: code, at: linear)
    let mapping: LinearMapping<L1>
    do throws(LinearFault<Never>) {
      mapping = try translate(linear, kind, isUser: code.contains(.user))
    } catch {
      if case .pageFault(let code) = error { guest[.exitInterruptionErrorCode] = UInt64(code.rawValue) }
      return false
    }
    let page: GuestPage
    do throws(ExtendedFault) {
      page = try self.page(linear, mapping, kind)
    } catch {
      becomeEPTViolation(error, linear, PhysicalAddress(mapping.address.rawValue), kind)
      reason = ExitReasonField(.eptViolation)
      return false
    }
    if isOverriding(kind, mapping), performOverridingWrite() { return true }
    guard map(page) else { return false }
    if outcome == nil { resumeAfterPageFault() }
    return true
  }

  /// Whether a supervisor writes, with CR0.WP = 0, to a user-mode page that is not writable, and the page cannot be the
  /// supervisor's alone: SMAP or SMEP would then no longer see that it is the user's.
  private func isOverriding(_ kind: AccessKind, _ mapping: LinearMapping<L1>) -> Bool {
    kind == .write && !mapping.isWritable && mapping.isUser
      && !CR4(rawValue: guest.vmcs[.guestCR4]).isDisjoint(with: [.smap, .smep])
  }

  /// Has L0 perform the instruction that writes so; false if it has no emulation of it, or the delivery of an event writes.
  private mutating func performOverridingWrite() -> Bool {
    guard !guest.vmcs.idtVectoringInformation.isValid else { return false }
    var emulator = InstructionEmulator(addressSpace)
    do throws(GuestFault) {
      try emulator.executeInstruction()
    } catch {
      if case .notEmulated = error { return false }
      give(error)
    }
    devices.noteAccess()
    return true
  }

  /// What the access that faulted with `code` did. Without IA32_EFER.NXE and CR4.SMEP the error code does not tell fetches;
  /// they are then those of the instruction's own bytes.
  ///
  /// Source: SDM volume 3, "Page-Fault Exceptions".
  private func kind(of code: PageFaultErrorCode, at linear: UInt64) -> AccessKind {
    if code.contains(.write) { return .write }
    if code.contains(.fetch) { return .execute }
    let isTold =
      EFER(rawValue: guest.vmcs[.guestEFER]).contains(.nxe)
      || CR4(rawValue: guest.vmcs[.guestCR4]).contains(.smep)
    guard !isTold else { return .read }
    let offset = linear &- (guest.vmcs[.guestCSBase] &+ guest.vmcs[.guestRIP])
    return offset < 15 ? .execute : .read
  }

  /// Translates by the guest's own page tables, and sets their accessed and dirty flags.
  private func translate(
    _ linear: UInt64, _ kind: AccessKind, isUser: Bool
  ) throws(LinearFault<Never>) -> LinearMapping<L1> {
    let paging = LinearPaging(ofGuestOf: guest.vmcs, physicalAddressWidth: L1RAM.physicalAddressWidth)
    let obeysSMAP = !RFLAGS(rawValue: guest[.guestRFLAGS]).contains(.ac)
    let mapping = try paging.translate(
      linear, for: LinearAccess(kind, isUser: isUser, obeysSMAP: obeysSMAP), in: L1PageTables(memory: ram))
    work.pointee.memoryAccesses &+= UInt64(mapping.references)
    return mapping
  }

  /// How the active hierarchy maps the page of `linear`, which the guest's page tables have as `mapping`, by ept01.
  ///
  /// A page that is not dirty is not writable yet. A supervisor that writes where it may not, because it has CR0.WP = 0,
  /// gets the page to itself until the next fault.
  private func page(
    _ linear: UInt64, _ mapping: LinearMapping<L1>, _ kind: AccessKind
  ) throws(ExtendedFault) -> GuestPage {
    let ept01 = ExtendedPaging(
      eptp: guest.vmcs[.eptPointer], physicalAddressWidth: L1RAM.physicalAddressWidth)
    let place = try ept01.translate(
      mapping.address, for: ExtendedAccess(kind), in: EPT01Structures(pool: vmx.pages))
    work.pointee.memoryAccesses &+= UInt64(place.references)
    let isOverridden = kind == .write && !mapping.isWritable
    var leaf = place.address.page.rawValue | PagingEntry.present | PagingEntry.accessed | PagingEntry.dirty
    let isWritable = (mapping.isWritable && mapping.isDirty) || isOverridden
    if isWritable, place.permissions.contains(.write) { leaf |= PagingEntry.writable }
    if mapping.isUser, !isOverridden { leaf |= PagingEntry.user }
    if !mapping.isExecutable { leaf |= PagingEntry.executeDisable }
    return GuestPage(linear: linear, leaf: leaf, size: mapping.size)
  }

  /// Maps `page`; false if it is mapped so already, and the fault must have another cause.
  private mutating func map(_ page: GuestPage) -> Bool {
    var accesses: UInt64 = 0
    var mapped = virtualTLB?.map(page, counting: &accesses)
    if mapped == .exhausted {
      forgetAllMappings()
      mapped = virtualTLB?.map(page, counting: &accesses)
      if mapped == .exhausted {
        outcome = .internalError(sentence: "L0 has no page left for the active page tables")
      }
    }
    work.pointee.memoryAccesses &+= accesses
    return mapped != .known
  }

  /// Has the guest go on where it met a page fault that L0 keeps.
  private mutating func resumeAfterPageFault() {
    let vmcs = guest.vmcs
    // An IRET has ended the blocking by NMI, and is executed again.
    let unblocked = vmcs.exitInterruptionInformation.rawValue & 1 << 12 != 0
    if unblocked, !vmcs.idtVectoringInformation.isValid {
      vmcs.interruptibilityState.insert(.blockingByNMI)
    }
    vmx.prepareToResume()
  }

  /// Writes the exit information of the EPT violation that the access would have met with EPT.
  private func becomeEPTViolation(
    _ fault: ExtendedFault, _ linear: UInt64, _ address: PhysicalAddress<L1>, _ kind: AccessKind
  ) {
    let guest = guest
    var qualification: EPTViolationQualification = [.linearAddressValid, .finalTranslation]
    if case .violation(let bits) = fault {
      qualification.formUnion(EPTViolationQualification(rawValue: bits))
    }
    if guest.vmcs.exitInterruptionInformation.rawValue & 1 << 12 != 0 { qualification.insert(.nmiUnblocking) }
    guest.vmcs.exitReason = ExitReasonField(.eptViolation)
    guest.vmcs[.exitQualification] = qualification.rawValue
    guest.vmcs[.guestPhysicalAddress] = address.rawValue
    guest.vmcs[.guestLinearAddress] = linear
    guest.vmcs[.exitInterruptionInformation] = 0
  }
}

// MARK: Invalidation

extension VirtualCPU {
  /// Has the processor forget the linear mappings of the guest that runs.
  mutating func forgetLinearMappings() { forgetLinearMappings(vpid: guest.vmcs[.vpid]) }

  /// Forgets the linear mappings of the guest with `vpid`; where L0 translates, those of one PCID alone if that is given.
  mutating func forgetLinearMappings(vpid: UInt64, pcid: UInt64? = nil) {
    virtualTLB?.forgetAll(vpid: vpid, pcid: pcid)
    forgetLinearMappingsOfProcessor(vpid)
  }

  private func forgetLinearMappingsOfProcessor(_ vpid: UInt64) {
    work.pointee.invvpids &+= 1
    processor.invalidateVPID(.singleContext(vpid: UInt16(truncatingIfNeeded: vpid)))
  }

  /// Forgets what the guest with `vpid` has mapped at `linear`.
  mutating func forgetLinearMapping(of linear: UInt64, vpid: UInt64) {
    if virtualTLB?.forget(linear, vpid: vpid) ?? false { return forgetLinearMappingsOfProcessor(vpid) }
    work.pointee.invvpids &+= 1
    processor.invalidateVPID(.individualAddress(vpid: UInt16(truncatingIfNeeded: vpid), linear: linear))
  }

  /// Forgets every mapping that goes through ept01.
  mutating func forgetAllMappings() {
    if virtualTLB != nil {
      virtualTLB?.forgetAll()
      work.pointee.invvpids &+= 1
      return processor.invalidateVPID(.allContexts)
    }
    work.pointee.invepts &+= 1
    processor.invalidateEPT(.singleContext(eptp: vmx.vmcs01[.eptPointer]))
  }
}

/// The paging structures of ept01 in L0's own pages. What lies elsewhere reads as a misconfiguration.
private struct EPT01Structures: PagingStructures {
  typealias Level = L0
  typealias Failure = ExtendedFault

  let pool: PagePool

  func load(_ address: PhysicalAddress<L0>) throws(ExtendedFault) -> UInt64 {
    guard let page = pool.pointer(to: address) else { throw .misconfiguration }
    return page.load(fromByteOffset: Int(address.pageOffset), as: UInt64.self)
  }

  /// ept01 has no accessed and dirty flags.
  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L0>) {}
}
