import CKVM
import Glibc
import VMX
import X86

// From the guest's state to the virtual CPU's registers, and back.
extension KVMCPU {
  /// The bits of CR4 that plain instructions depend on. PGE is set and cleared for the sake of the TLB alone.
  private static var relevantCR4: CR4 { [.pse, .pae, .smep, .smap] }
  private static var relevantCR0: CR0 { [.pe, .et, .ne, .wp, .am, .pg] }
  private static var relevantEFER: EFER { [.lme, .lma, .nxe] }

  /// Whether the virtual CPU can be given the guest's mode.
  ///
  /// The PDPTE registers of PAE paging are the guest's own, but KVM loads them anew; and outside 64-bit mode, code is
  /// decoded by its place in the page, which is that of the instruction pointer only in a flat segment.
  var hasSuitableMode: Bool {
    let cr4 = software.hostedCR4
    guard software.hostedCR0.contains(.pe), calibration.cr4.isSuperset(of: cr4.intersection(Self.relevantCR4))
    else { return false }
    // Nor can user code be lent to a KVM that does not follow what the software processor stores to its page tables.
    if software.hostedCPL == 3, !calibration.followsTablesOfUsers { return false }
    if software.hostedEFER.contains(.lma) {
      return software.hostedSegment(.cs).accessRights.isLong || software.hostedSegment(.cs).base == 0
    }
    let isPAE = software.hostedCR0.contains(.pg) && cr4.contains(.pae)
    return !isPAE && software.hostedSegment(.cs).base & 0xFFF == 0
  }

  /// Loads the virtual CPU's special registers if they differ from what it holds, or if its TLB has to be emptied; false if
  /// its exceptions could not be seen.
  func loadSpecialRegisters(_ space: GuestSpace) throws(KVMError) -> Bool {
    let run = space.machine.run
    let registers = space.machine.specialRegisters
    let generation = software.translationGeneration
    // The place of a missing page is looked at each time.
    let isSame = !software.noteSystemState(in: space.systemState) && generation == space.flushedGeneration
    if isSame, space.hasLoaded, calibration.exceptions == .shutdown { return true }
    guard let exceptions = try exceptionTable(space) else { return false }
    if generation != space.flushedGeneration {
      // What invalidated translations was executed elsewhere. A change of CR4.PGE empties the TLB.
      space.flushedGeneration = generation
      space.isPGESet.toggle()
    }
    registers.pointee = space.machine.initial
    var cr4 = software.hostedCR4.intersection(Self.relevantCR4)
    if space.isPGESet { cr4.insert(.pge) }
    // Plain instructions do not use the FPU, so that it need not be loaded.
    let cr0 = software.hostedCR0.intersection(Self.relevantCR0).union([.ts, .et, .ne])
    registers.pointee.cr0 = cr0.rawValue
    registers.pointee.cr2 = 0
    registers.pointee.cr3 = software.hostedCR3 & 0x000F_FFFF_FFFF_F000
    registers.pointee.cr4 = cr4.rawValue
    registers.pointee.efer = software.hostedEFER.intersection(Self.relevantEFER).rawValue
    registers.pointee.es = segment(.es)
    registers.pointee.cs = segment(.cs)
    registers.pointee.ss = segment(.ss)
    registers.pointee.ds = segment(.ds)
    registers.pointee.fs = segment(.fs)
    registers.pointee.gs = segment(.gs)
    registers.pointee.ldt = segment(.ldtr)
    registers.pointee.tr = segment(.tr)
    registers.pointee.gdt.base = 0
    registers.pointee.gdt.limit = 0
    (registers.pointee.idt.base, registers.pointee.idt.limit) = exceptions
    let size = MemoryLayout<kvm_sregs>.size
    if space.hasLoaded, memcmp(registers, space.loaded, size) == 0 { return true }
    memcpy(space.loaded, registers, size)
    space.hasLoaded = true
    ckvm_load(run, false, true)
    return true
  }

  private func segment(_ number: GuestSegment) -> kvm_segment {
    let state = software.hostedSegment(number)
    let rights = state.accessRights
    var value = kvm_segment()
    value.base = state.base
    value.limit = state.limit
    value.selector = state.selector
    guard !rights.isUnusable else {
      value.unusable = 1
      return value
    }
    value.type = rights.type
    value.s = rights.isCodeOrData ? 1 : 0
    value.dpl = rights.dpl
    value.present = rights.isPresent ? 1 : 0
    value.avl = rights.isAvailable ? 1 : 0
    value.l = rights.isLong ? 1 : 0
    value.db = rights.isBig ? 1 : 0
    value.g = rights.isGranular ? 1 : 0
    return value
  }

  /// Loads the general-purpose registers, RIP and RFLAGS.
  func loadRegisters(_ space: GuestSpace) {
    let to = space.machine.registers
    let from = registers
    to.pointee.rax = from.pointee.rax
    to.pointee.rcx = from.pointee.rcx
    to.pointee.rdx = from.pointee.rdx
    to.pointee.rbx = from.pointee.rbx
    to.pointee.rsp = from.pointee.rsp
    to.pointee.rbp = from.pointee.rbp
    to.pointee.rsi = from.pointee.rsi
    to.pointee.rdi = from.pointee.rdi
    to.pointee.r8 = from.pointee.r8
    to.pointee.r9 = from.pointee.r9
    to.pointee.r10 = from.pointee.r10
    to.pointee.r11 = from.pointee.r11
    to.pointee.r12 = from.pointee.r12
    to.pointee.r13 = from.pointee.r13
    to.pointee.r14 = from.pointee.r14
    to.pointee.r15 = from.pointee.r15
    to.pointee.rip = software.hostedRIP
    // An instruction begins and ends with RF clear, or it is no plain one.
    to.pointee.rflags = software.hostedRFLAGS & ~RFLAGS.rf.rawValue | space.machine.steppingFlag
    ckvm_load(space.machine.run, true, false)
  }

  /// Takes over what the virtual CPU has left; its RIP is `rip`.
  func takeRegisters(_ space: GuestSpace, rip: UInt64) {
    let from = space.machine.registers
    let to = registers
    to.pointee.rax = from.pointee.rax
    to.pointee.rcx = from.pointee.rcx
    to.pointee.rdx = from.pointee.rdx
    to.pointee.rbx = from.pointee.rbx
    to.pointee.rsp = from.pointee.rsp
    to.pointee.rbp = from.pointee.rbp
    to.pointee.rsi = from.pointee.rsi
    to.pointee.rdi = from.pointee.rdi
    to.pointee.r8 = from.pointee.r8
    to.pointee.r9 = from.pointee.r9
    to.pointee.r10 = from.pointee.r10
    to.pointee.r11 = from.pointee.r11
    to.pointee.r12 = from.pointee.r12
    to.pointee.r13 = from.pointee.r13
    to.pointee.r14 = from.pointee.r14
    to.pointee.r15 = from.pointee.r15
    software.endPlainRun(rip: rip, rflags: from.pointee.rflags)
  }
}

// MARK: - Exceptions

extension KVMCPU {
  /// The IDT that makes every exception of the virtual CPU leave KVM_RUN before anything of it is delivered: none, where
  /// KVM keeps the registers over the shutdown that follows; else one that lies where no page is, if there is such a place.
  private func exceptionTable(_ space: GuestSpace) throws(KVMError) -> (base: UInt64, limit: UInt16)? {
    guard calibration.exceptions == .missingPage else { return (0, 0) }
    if let hole = space.idtHole, !space.isMapped(hole.guest >> 12),
      software.probeSystem(hole.linear).guestPhysical == hole.guest
    {
      return (hole.linear, 0xFFF)
    }
    guard let hole = try findHole(space) else { return nil }
    space.idtHole = hole
    return (hole.linear, 0xFFF)
  }

  /// Where to look for a linear address that leads to no page: what guests map at the beginning of their address space, and
  /// where Linux maps all of physical memory.
  private static var holeCandidates: [UInt64] {
    let starts: [UInt64] = [0, 0xFFFF_8880_0000_0000]
    let devices: [UInt64] = [0, 0xA_0000, 0xF_0000, 0xC000_0000, 0xD000_0000, 0xFEE0_0000]
    return starts.flatMap { start in devices.map { start &+ $0 } }
      + (0..<2048).map { UInt64($0) << 21 } + (0..<512).map { UInt64($0) << 12 }
  }

  /// Pages beside those that the guest is using: it has mapped its code and its stack at least.
  private var pagesInUse: [UInt64] {
    let places = [software.hostedSegment(.cs).base &+ software.hostedRIP, registers.pointee.rsp]
    var found: [UInt64] = []
    for place in places {
      let page = place & ~0xFFF
      for distance in 1...32 as ClosedRange<UInt64> {
        found += [page &+ distance << 21, page &- distance << 21]
      }
      for other in 1..<512 as Range<UInt64> { found.append(page ^ other << 12) }
    }
    return found
  }

  private func findHole(_ space: GuestSpace) throws(KVMError) -> (linear: UInt64, guest: UInt64)? {
    let needed = pagesNeeded
    var spare: (linear: UInt64, guest: UInt64)?
    var mapped: (linear: UInt64, guest: UInt64)?
    for linear in Self.holeCandidates + pagesInUse {
      guard let guest = software.probeSystem(linear).guestPhysical.map({ $0 & ~0xFFF }) else { continue }
      if software.probePhysical(guest) == nil {
        try space.reserve(guest >> 12)
        return (linear, guest)
      }
      if needed.contains(guest) || space.isCopied(guest >> 12) { continue }
      if space.isMapped(guest >> 12) {
        mapped = mapped ?? (linear, guest)
      } else {
        spare = spare ?? (linear, guest)
      }
    }
    // The page is kept out of the guest's reach, so that each access to it is handed over.
    guard let taken = spare ?? mapped else { return nil }
    try space.reserve(taken.guest >> 12)
    try space.forget(guest: taken.guest >> 12)
    return taken
  }

  /// The guest-physical pages without which the guest gets nowhere: those of its code, its stack, and the tables on the way.
  private var pagesNeeded: Set<UInt64> {
    var pages: Set<UInt64> = [software.hostedCR3 & 0x000F_FFFF_FFFF_F000]
    let places = [software.hostedSegment(.cs).base &+ software.hostedRIP, registers.pointee.rsp]
    for place in places {
      let found = software.probeSystem(place)
      if let guest = found.guestPhysical { pages.insert(guest & ~0xFFF) }
      for position in 0..<found.tableCount { pages.insert(found.table(position) & ~0xFFF) }
    }
    return pages
  }
}
