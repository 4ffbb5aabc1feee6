import Processor
import Translation
import VMX
import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// The processor as the interpreter of another one, which executes plain instructions by other means and hands over
// everything else: VM entry, events, instructions that can cause VM exits, faults. The guest's state lives in this
// processor from ``begin(_:)`` on, and in the VMCS again when one of these methods returns an outcome.
extension SoftwareCPU {
  /// Performs the VM entry with `vmcs` up to the guest's first instruction. Returns how it ended if it is over.
  package func beginHosted(_ vmcs: VMCS) -> EntryOutcome? { begin(vmcs) }

  /// Takes the events that are due, and then executes at most `count` instructions (0: only the events). Returns how the
  /// run ended, or nil if the guest can go on.
  package func runHosted(_ vmcs: VMCS, instructions count: UInt64) -> EntryOutcome? {
    let clock = clock
    let limit = clock.pointee.instructionLimit
    clock.pointee.instructionLimit = min(limit, clock.pointee.instructions &+ count)
    let cause = core.continueGuest(until: stopRequest)
    clock.pointee.instructionLimit = limit
    guard let cause else { return exit(vmcs) }
    if cause == .instructionLimit, clock.pointee.instructions < limit { return nil }
    return stop(vmcs, cause)
  }

  /// Leaves the guest without a VM exit.
  package func stopHosted(_ vmcs: VMCS, _ cause: StopCause) -> EntryOutcome { stop(vmcs, cause) }

  /// Whether the next instruction has nothing about it but itself: the processor is awake and in protected mode, nothing
  /// waits for the instruction's end, and no trap follows it.
  package var isPlain: Bool {
    let cpu = core.cpu
    return cpu.pointee.activity == ActivityState.active.rawValue && cpu.pointee.pendingDebug == 0
      && core.interruptibility.isDisjoint(with: [.blockingBySTI, .blockingByMOVSS])
      && core.systemFlags.isDisjoint(with: [.tf, .vm]) && core.cr0.contains(.pe) && !core.hasBreakpoints
      && !core.nonRoot.pointee.isMTFPending && !core.nonRoot.pointee.primary.contains(.monitorTrapFlag)
  }

  /// The value of the clock's cycles at which the guest is to be interrupted, by L0 or by the VMX-preemption timer.
  package var hostedDeadline: UInt64 {
    min(core.nonRoot.pointee.timerDeadline, clock.pointee.interruptDeadline)
  }

  /// Grows with everything that may have invalidated translations of linear addresses.
  package var translationGeneration: UInt64 { core.blocks.pointee.generation }

  /// Whether accesses of several bytes have to be aligned.
  package var checksAlignment: Bool { core.checksAlignment }

  /// Whether a stop has been requested and not yet been obeyed.
  package var isStopRequested: Bool { stopRequest.isMade }

  /// The L0-physical address of the APIC-access page, which is to belong to nobody; nil without one.
  package var hostedAPICAccessPage: UInt64? {
    let page = core.nonRoot.pointee.virtualAPIC.accessPage
    return page == VirtualAPICState.noPage ? nil : page
  }

  /// Has stores to RAM page number `page` noticed, as if code of it had been decoded.
  package func watchCode(page: Int) { core.markCode(page: page) }

  /// Keeps a list of the pages in which code is decoded from now on, for ``takeFreshCode(_:)``; false without memory for it.
  package func listFreshCode() -> Bool {
    core.blocks.pointee.listFreshPages()
    return core.blocks.pointee.freshPages != nil
  }

  /// Whether code has been decoded in pages since ``takeFreshCode(_:)``.
  package var hasFreshCode: Bool { core.blocks.pointee.freshCount != 0 }

  /// Empties the list of the pages in which code has been decoded, and calls `body` with the number of each.
  package func takeFreshCode<Failure: Error>(_ body: (Int) throws(Failure) -> Void) throws(Failure) {
    guard let fresh = core.blocks.pointee.freshPages else { return }
    defer { core.blocks.pointee.freshCount = 0 }
    let capacity = core.blocks.pointee.pageCount
    var position = 0
    while position < min(core.blocks.pointee.freshCount, capacity) {
      try body(Int(fresh[position]))
      position += 1
    }
    guard core.blocks.pointee.freshCount > capacity else { return }
    for page in 0..<capacity where core.cpu.pointee.machine.codePages[page] != 0 { try body(page) }
  }

  /// Drops the code decoded from RAM page number `page`.
  package func forgetCode(page: Int) { core.forgetCode(page: UInt64(page)) }

  // MARK: The guest's registers while it runs

  package var hostedRIP: UInt64 { core.rip }
  package var hostedRFLAGS: UInt64 { core.rflags }
  package var hostedCPL: UInt8 { core.cpu.pointee.cpl }
  package var hostedCR0: CR0 { core.cr0 }
  package var hostedCR3: UInt64 { core.cpu.pointee.cr3 }
  package var hostedCR4: CR4 { core.cr4 }
  package var hostedEFER: EFER { core.efer }
  /// Whether EPT tells fetches of user mode from others.
  package var hasModeBasedExecute: Bool {
    core.nonRoot.pointee.secondary.contains(.modeBasedExecuteControlForEPT)
  }
  package var hostedEPTPointer: UInt64 { core.nonRoot.pointee.eptPointer }

  /// What plain instructions have left in RIP and RFLAGS, beside the general-purpose registers.
  package func endPlainRun(rip: UInt64, rflags: UInt64) {
    if rip != core.rip { core.cpu.pointee.isMidRepetition = false }
    core.rip = rip
    core.rflags = rflags & ~RFLAGS.rf.rawValue
  }

  /// How many bytes ``noteSystemState(in:)`` compares.
  package static var systemStateSize: Int { 8 * MemoryLayout<SegmentState>.stride + 4 * 8 }

  /// Whether segment registers, CR0, CR3, CR4 or IA32_EFER differ from what `place` holds, which holds them then.
  package func noteSystemState(in place: UnsafeMutableRawPointer) -> Bool {
    let size = 8 * MemoryLayout<SegmentState>.stride
    let cpu = core.cpu
    let words = (place + size).assumingMemoryBound(to: UInt64.self)
    let isSame =
      memcmp(place, core.segments, size) == 0 && words[0] == cpu.pointee.cr0 && words[1] == cpu.pointee.cr3
      && words[2] == cpu.pointee.cr4 && words[3] == cpu.pointee.efer
    if isSame { return false }
    memcpy(place, core.segments, size)
    words[0] = cpu.pointee.cr0
    words[1] = cpu.pointee.cr3
    words[2] = cpu.pointee.cr4
    words[3] = cpu.pointee.efer
    return true
  }

  package func hostedSegment(
    _ segment: GuestSegment
  ) -> (selector: UInt16, accessRights: SegmentAccessRights, limit: UInt32, base: UInt64) {
    let state = core.segments[Int(segment.rawValue)]
    return (state.selector, SegmentAccessRights(rawValue: state.accessRights), state.limit, state.base)
  }
}

// MARK: - Where things are

/// A guest's address followed to RAM, without setting any flag on the way.
package struct HostedMapping {
  /// The guest-physical addresses of the paging-structure entries that were read.
  package var tables: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  package var tableCount = 0
  /// The guest-physical address, if the guest's paging structures give one.
  package var guestPhysical: UInt64?

  package mutating func note(_ table: UInt64) {
    switch tableCount {
    case 0: tables.0 = table
    case 1: tables.1 = table
    case 2: tables.2 = table
    default: tables.3 = table
    }
    tableCount = min(tableCount + 1, 4)
  }

  package func table(_ position: Int) -> UInt64 {
    switch position {
    case 0: tables.0
    case 1: tables.1
    case 2: tables.2
    default: tables.3
    }
  }
}

/// What EPT says of a guest-physical address.
package struct HostedPage {
  /// The L0-physical address; it may be a hole.
  package var physical: UInt64
  package var permissions: Permissions
  package var size: MappingSize
  /// Whether no accessed flag of EPT on the way is still to be set, and whether the page's dirty flag is not.
  package var isAccessed = true
  package var isDirty = true
}

/// The guest's paging structures for a look that leaves no trace.
private struct ProbedStructures: PagingStructures {
  typealias Level = CurrentGuest
  typealias Failure = GuestPhysicalFault
  let core: Core
  let found: UnsafeMutablePointer<HostedMapping>

  func load(_ address: PhysicalAddress<CurrentGuest>) throws(GuestPhysicalFault) -> UInt64 {
    found.pointee.note(address.rawValue)
    return core.loadPhysical(try core.structureAddress(of: address, .read), as: UInt64.self)
  }

  func setFlags(_ flags: UInt16, at address: PhysicalAddress<CurrentGuest>) throws(GuestPhysicalFault) {}
}

private struct ProbedHostStructures: PagingStructures {
  typealias Level = L0
  typealias Failure = ExtendedFault
  let core: Core
  let setsFlags: UnsafeMutablePointer<Bool>

  func load(_ address: PhysicalAddress<L0>) throws(ExtendedFault) -> UInt64 {
    core.loadPhysical(address.rawValue, as: UInt64.self)
  }
  func setFlags(_ flags: UInt16, at address: PhysicalAddress<L0>) throws(ExtendedFault) {
    setsFlags.pointee = true
  }
}

extension SoftwareCPU {
  /// Follows `linear` through the guest's paging structures for `kind` of access at the current privilege.
  package func probe(_ linear: UInt64, _ kind: AccessKind) -> HostedMapping {
    probe(
      linear,
      LinearAccess(kind, isUser: core.cpu.pointee.cpl == 3, obeysSMAP: !core.systemFlags.contains(.ac)))
  }

  /// The same for a read of the processor's own, as that of an IDT.
  package func probeSystem(_ linear: UInt64) -> HostedMapping {
    probe(linear, LinearAccess(.read, isUser: false))
  }

  private func probe(_ linear: UInt64, _ access: LinearAccess) -> HostedMapping {
    var found = HostedMapping()
    guard core.isCanonical(linear) else { return found }
    withUnsafeMutablePointer(to: &found) { found in
      let structures = ProbedStructures(core: core, found: found)
      do throws(LinearFault<GuestPhysicalFault>) {
        let mapping = try core.linearPaging.translate(linear, for: access, in: structures)
        found.pointee.guestPhysical = mapping.address.rawValue
      } catch {}
    }
    return found
  }

  /// What EPT maps `guestPhysical` to, or nil if it maps nothing there, or the APIC-access page, which belongs to nobody.
  package func probePhysical(_ guestPhysical: UInt64) -> HostedPage? {
    let pointer = core.nonRoot.pointee.eptPointer
    guard pointer != 0 else {
      if guestPhysical & ~0xFFF == core.nonRoot.pointee.virtualAPIC.accessPage { return nil }
      return HostedPage(physical: guestPhysical, permissions: .all, size: .page4K)
    }
    let paging = ExtendedPaging(
      eptp: pointer, physicalAddressWidth: Core.physicalAddressWidth,
      hasModeBasedExecute: core.nonRoot.pointee.secondary.contains(.modeBasedExecuteControlForEPT))
    var setsFlags = false
    do throws(ExtendedFault) {
      let mapping = try withUnsafeMutablePointer(to: &setsFlags) { setsFlags throws(ExtendedFault) in
        try paging.translate(
          PhysicalAddress<CurrentGuest>(guestPhysical), for: ExtendedAccess(.read),
          in: ProbedHostStructures(core: core, setsFlags: setsFlags))
      }
      let physical = mapping.address.rawValue
      if physical & ~0xFFF == core.nonRoot.pointee.virtualAPIC.accessPage { return nil }
      return HostedPage(
        physical: physical, permissions: mapping.permissions, size: mapping.size, isAccessed: !setsFlags,
        isDirty: mapping.isDirty)
    } catch {
      return nil
    }
  }
}
