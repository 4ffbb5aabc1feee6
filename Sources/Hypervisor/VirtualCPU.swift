import CostModel
import NestedVMX
import Platform
import Processor
import Trace
import VMX
import X86

/// L0's virtual CPU: it enters the guest, and performs what its exits and the nested core demand.
///
/// Between an exit and the next entry nothing is allocated, and the level that runs is asked of the nested core alone.
struct VirtualCPU<P: VMXProcessor>: ~Copyable {
  let processor: P
  let registers: UnsafeMutablePointer<RegisterFile>
  let clock: UnsafeMutablePointer<VirtualClock>
  let ram: L1RAM
  let prices: CostPrices
  /// The work of L0's handlers in the current exit, beside that of the nested core.
  let work: UnsafeMutablePointer<RunningGuest.HandlerWork>
  let cpuid: CPUIDPolicy
  let ports: PortBus
  let debugExit: DebugExit
  /// The bits of CR4 that a guest can set.
  let cr4Supported: UInt64

  var vmx: VirtualVMX<L1RAM, PagePool>
  var log: ExitLog
  var entryFailures = EntryFailureLog()
  /// Nil unless somebody wants to see the VMCSs.
  let watch: VMCSWatch?
  /// How the run ended, once it has.
  var outcome: RunOutcome?
  /// The instructions retired up to the last exit, and the exits since then that retired none.
  private var retired: UInt64 = 0
  private var barrenExits: UInt64 = 0
  /// The clock's counts of L1's accesses of the shadow VMCS at the last exit.
  private var shadowAccesses: (reads: UInt64, writes: UInt64) = (0, 0)

  init(
    processor: P, vmx: consuming VirtualVMX<L1RAM, PagePool>, ram: L1RAM, devices: MachineDevices,
    configuration: MachineConfiguration
  ) {
    self.processor = processor
    self.registers = processor.registers
    self.clock = processor.clock
    self.ram = ram
    self.prices = configuration.costs.prices
    self.work = .allocate(capacity: 1)
    self.work.initialize(to: RunningGuest.HandlerWork())
    self.cpuid = CPUIDPolicy(frequency: configuration.costs.frequency)
    self.ports = devices.ports
    self.debugExit = devices.debugExit
    self.cr4Supported = processor.capabilities.cr4Fixed1 & ~CR4.smxe.rawValue
    self.vmx = vmx
    self.log = ExitLog(mode: configuration.trace)
    self.watch = configuration.watched.map { VMCSWatch($0) }
    let access = prices.accessByL1(configuration.nested.vmcsAccess)
    clock.pointee.shadowReadCycles = access.read
    clock.pointee.shadowWriteCycles = access.write
  }

  deinit { work.deallocate() }

  /// The guest that runs, as L0's handlers see it.
  var guest: RunningGuest { RunningGuest(vmcs: vmx.running, registers: registers, work: work) }

  /// The level that runs.
  var level: ExitLevel { vmx.isInL2 ? .l2 : .l1 }

  /// Runs until the machine ends or is stopped.
  mutating func run() -> RunEnd {
    while true {
      switch processor.enter(vmx.running) {
      case .exit(let reason): handle(reason)
      case .failed(let error): return .ended(refusedEntry(error))
      case .stopped(.idle): return .ended(.halted(level: level, rip: guest[.guestRIP]))
      case .stopped(let cause): return .stoppedBy(cause)
      }
      if let outcome { return .ended(outcome) }
      if isStuck() { return .stoppedBy(.instructionLimit) }
    }
  }

  /// Whether as many exits in a row as instructions are allowed have retired none, as when L1's VMRESUME is its own host
  /// RIP: the limit would never be reached.
  private mutating func isStuck() -> Bool {
    let instructions = clock.pointee.instructions
    barrenExits = instructions == retired ? barrenExits &+ 1 : 0
    retired = instructions
    return barrenExits > clock.pointee.instructionLimit
  }

  /// The way of one exit: route it, perform what it demands, and account for it.
  private mutating func handle(_ reason: ExitReasonField) {
    let vmcs = vmx.running
    let workBefore = vmx.work
    work.pointee = RunningGuest.HandlerWork()
    var event = ExitEvent(
      from: level, reason: reason.basicNumber, start: clock.pointee.cycles,
      instructions: clock.pointee.instructions, rip: vmcs[.guestRIP], qualification: vmcs[.exitQualification])

    if log.isRecording { event.operand = operand(of: reason, vmcs) }
    event.routedTo = perform(reason)
    performInvalidations()
    if level != event.from { work.pointee.vmptrlds &+= 1 }
    if let watch, event.from == .l2 { watch.noteExit(vmcsSet) }

    event.work = work(since: workBefore)
    noteGuestAccesses(&event.work)
    event.hostCycles = prices.exit(event.work)
    clock.pointee.cycles &+= event.hostCycles
    event.end = clock.pointee.cycles
    event.isFinished = outcome == nil
    if event.isTreeRoot {
      log.openTree(event)
    } else {
      log.append(event)
      if event.from == .l1, vmx.isInL2 || !vmx.isInVMXOperation {
        log.closeTree(at: event.end, finished: vmx.isInL2)
      }
    }
  }

  /// The VMREADs and VMWRITEs that L1 completed on the shadow VMCS since the exit before.
  private mutating func noteGuestAccesses(_ work: inout ExitWork) {
    let (reads, writes) = (clock.pointee.shadowReads, clock.pointee.shadowWrites)
    work.guestReads = UInt32(clamping: reads &- shadowAccesses.reads)
    work.guestWrites = UInt32(clamping: writes &- shadowAccesses.writes)
    shadowAccesses = (reads, writes)
  }

  /// What L0 did for the exit: the nested core and its own handlers.
  private func work(since before: WorkCounters) -> ExitWork {
    let nested = vmx.work.since(before)
    let own = work.pointee
    return ExitWork(
      vmcsReads: UInt32(clamping: nested.vmcsReads &+ own.vmcsReads),
      vmcsWrites: UInt32(clamping: nested.vmcsWrites &+ own.vmcsWrites),
      memoryAccesses: UInt32(clamping: nested.memoryReads &+ nested.memoryWrites &+ own.memoryAccesses),
      vmptrlds: UInt32(clamping: own.vmptrlds), invepts: UInt32(clamping: own.invepts),
      invvpids: UInt32(clamping: own.invvpids))
  }

  /// Routes the exit and does what its handler must; returns the level that it was routed to.
  private mutating func perform(_ reason: ExitReasonField) -> ExitLevel {
    work.pointee.vmcsReads &+= 1
    switch vmx.route(reason) {
    case .reflectedToL1(let exit):
      reflect(exit)
      return .l1
    case .keptByL0(let handler):
      handle(handler, reason)
      return .l0
    }
  }

  private mutating func performInvalidations() {
    while let invalidation = vmx.takeInvalidation() {
      switch invalidation {
      case .ept(let eptp):
        work.pointee.invepts &+= 1
        processor.invalidateEPT(.singleContext(eptp: eptp))
      case .vpid(let vpid):
        work.pointee.invvpids &+= 1
        processor.invalidateVPID(.singleContext(vpid: vpid))
      }
    }
  }
}

/// Why the run loop ended.
enum RunEnd {
  case ended(RunOutcome)
  case stoppedBy(StopCause)
}
