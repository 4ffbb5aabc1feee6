import CKVM
import Glibc
import GuestMemory
import InstructionDecoder
import SoftwareProcessor
import Translation
import VMX
import X86

/// What follows a stretch of plain instructions.
enum PlainEnd {
  /// The software processor executes the instruction at RIP.
  case handOver
  /// The software processor looks for events.
  case settle
  /// The virtual CPU can go on.
  case again
}

/// A page that was fetched from, and what its translation depends on.
struct FetchedPage {
  var linear: UInt64
  var root: UInt64
  var cr3: UInt64
  var generation: UInt64
  /// CR0, CR4, IA32_EFER, the CPL and "mode-based execute control for EPT".
  var mode: UInt64
  var guest: UInt64 = 0
  var physical: UInt64 = 0

  /// No page.
  static let none = FetchedPage(linear: .max, root: 0, cr3: 0, generation: 0, mode: 0)
  static let count = 64

  func isOf(_ other: FetchedPage) -> Bool {
    linear == other.linear && root == other.root && cr3 == other.cr3 && generation == other.generation
      && mode == other.mode
  }
}

// The virtual CPU's runs.
extension KVMCPU {
  /// Runs plain instructions from RIP on.
  func runPlain() throws(KVMError) -> PlainEnd {
    guard let space, !isNearEnd else { return .handOver }
    // Not everything that KVM runs on checks alignment.
    if software.checksAlignment { return .handOver }
    // Not every KVM steps user code.
    if intercepts == .stepped, software.hostedCPL != 0 { return .handOver }
    let rip = software.hostedRIP
    let linear = software.hostedEFER.contains(.lma) ? rip : software.hostedSegment(.cs).base &+ rip
    guard let (guest, physical) = fetchAddress(linear),
      let code = try codePage(physical, at: linear, decodeMode)
    else { return .handOver }
    if intercepts == .native {
      _ = code.isSite(Int(physical & 0xFFF))
      try follow(code)
    }
    if code.isSite(Int(physical & 0xFFF)) { return .handOver }
    switch intercepts {
    case .patched: try showCopy(of: code, at: guest)
    case .native: try mapCopy(of: code, at: guest)
    case .stepped: if !space.isMapped(guest >> 12) { _ = try map(guest) }
    }
    guard try loadSpecialRegisters(space) else { return .handOver }
    loadRegisters(space)
    setTimer()
    // A request that came before the kick could reach this virtual CPU.
    if software.isStopRequested { return .settle }
    let start = Int(physical & 0xFFF)
    let end = try runUntilExit(space, code)
    if intercepts == .stepped { return end }
    // A tick that always comes before the guest's first instruction would keep it from going on at all.
    return countPassed(code, from: start, rip: rip) ? end : .handOver
  }

  /// Where the instruction at `linear` is, guest-physical and in RAM, or nil if the guest cannot fetch it from there.
  ///
  /// Like a processor's TLB, what was found is kept until something invalidates translations.
  private func fetchAddress(_ linear: UInt64) -> (guest: UInt64, physical: UInt64)? {
    let index = Int(linear >> 12 & UInt64(FetchedPage.count - 1))
    let wanted = FetchedPage(
      linear: linear & ~0xFFF, root: space?.root ?? 0, cr3: software.hostedCR3,
      generation: software.translationGeneration, mode: fetchMode)
    let known = fetchedPages[index]
    if known.isOf(wanted) { return (known.guest | linear & 0xFFF, known.physical | linear & 0xFFF) }
    guard let guest = software.probe(linear, .execute).guestPhysical,
      let page = software.probePhysical(guest), isExecutable(page),
      memory.contains(PhysicalAddress(page.physical), count: 1)
    else { return nil }
    fetchedPages[index] = wanted
    fetchedPages[index].guest = guest & ~0xFFF
    fetchedPages[index].physical = page.physical & ~0xFFF
    return (guest, page.physical)
  }

  /// The code page that RIP is in, if it has been lent before.
  var knownCode: CodePage? {
    let rip = software.hostedRIP
    let linear = software.hostedEFER.contains(.lma) ? rip : software.hostedSegment(.cs).base &+ rip
    return fetchAddress(linear).flatMap { codePages[Int($0.physical >> 12)] }
  }

  private var fetchMode: UInt64 {
    let registers =
      software.hostedCR0.rawValue ^ software.hostedCR4.rawValue << 8 ^ software.hostedEFER.rawValue << 40
    return registers << 3 | UInt64(software.hostedCPL) << 1 | (software.hasModeBasedExecute ? 1 : 0)
  }

  /// Whether code of the page can be lent: its copy could be read, and nobody would set the page's accessed flag.
  func isExecutable(_ page: HostedPage) -> Bool {
    guard page.isAccessed, page.permissions.contains(.read) else { return false }
    if software.hasModeBasedExecute, software.hostedCPL == 3 {
      return page.permissions.contains(.userExecute)
    }
    return page.permissions.contains(.execute)
  }

  private var decodeMode: DecodeMode {
    let rights = software.hostedSegment(.cs).accessRights
    if software.hostedEFER.contains(.lma), rights.isLong { return .long64 }
    return rights.isBig ? .protected32 : .protected16
  }

  /// Enters the virtual CPU until it has come to an instruction that is to be handed over, or is interrupted.
  private func runUntilExit(_ space: GuestSpace, _ code: CodePage) throws(KVMError) -> PlainEnd {
    let machine = space.machine
    while true {
      let error = enter(machine)
      switch error {
      case 0: break
      case EINTR, EAGAIN:
        ckvm_set_immediate_exit(machine.run, false)
        isTicking = false
        takeRegisters(space, rip: machine.registers.pointee.rip)
        return .settle
      case EFAULT:
        takeRegisters(space, rip: machine.registers.pointee.rip)
        return try takeFault(space)
      default: throw .refused(.run, errno: error)
      }
      switch machine.exitReason {
      case KVMExit.halt:
        takeRegisters(space, rip: machine.registers.pointee.rip &- 1)
        return .handOver
      case KVMExit.debug:
        pass(1)
        takeRegisters(space, rip: machine.registers.pointee.rip)
        return .settle
      case KVMExit.shutdown:
        guard calibration.exceptions == .shutdown else {
          throw .unexpectedExit("the guest's virtual CPU shut down, and KVM did not keep its state")
        }
        takeRegisters(space, rip: machine.registers.pointee.rip)
        return try takeFault(space)
      case KVMExit.internalError:
        takeRegisters(space, rip: machine.registers.pointee.rip)
        codeAtRIP(code)?.makeSite(Int(machine.registers.pointee.rip & 0xFFF))
        return try takeFault(space)
      case KVMExit.memoryMapped:
        if let end = try takeAccess(space, codeAtRIP(code) ?? code) { return end }
      case KVMExit.interrupted, KVMExit.interruptWindow:
        takeRegisters(space, rip: machine.registers.pointee.rip)
        return .settle
      default: throw unexpected(machine)
      }
    }
  }

  /// The code page that the virtual CPU's RIP is in: `code`, or one that a branch has led to.
  private func codeAtRIP(_ code: CodePage) -> CodePage? {
    guard intercepts == .native, let rip = space?.machine.registers.pointee.rip,
      let guest = software.probe(rip, .execute).guestPhysical, let page = software.probePhysical(guest)
    else { return intercepts == .native ? nil : code }
    return codePages[Int(page.physical >> 12)]
  }

  /// The virtual CPU met a fault at RIP, and nothing of the instruction has happened. A page that it missed is mapped, else
  /// the software processor finds out what the fault was.
  private func takeFault(_ space: GuestSpace) throws(KVMError) -> PlainEnd {
    ckvm_clear_events(space.machine.run)
    let start = ckvm_time()
    defer { mappingTime &+= ckvm_time() &- start }
    if try mapOperands() { return .again }
    count { $0.faults &+= 1 }
    return .handOver
  }

  private func unexpected(_ machine: KVMVirtualMachine) -> KVMError {
    let reason = machine.exitReason
    let place = "at RIP 0x" + String(machine.registers.pointee.rip, radix: 16)
    if reason == KVMExit.failedEntry {
      let detail = String(ckvm_entry_failure(machine.run), radix: 16)
      return .unexpectedExit("KVM could not enter the guest \(place): the hardware's reason is 0x\(detail)")
    }
    return .unexpectedExit(
      "KVM_RUN returned with exit reason \(reason) \(place), which no plain instruction causes")
  }
}
