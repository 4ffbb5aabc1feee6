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
  let devices: MachineDevices
  /// What the devices ask of the virtual CPUs; it belongs to `devices`.
  let attention: UnsafeMutablePointer<MachineDevices.Attention>
  /// Which of the machine's virtual CPUs this is, from 0; the first is the bootstrap processor.
  let number: Int
  let apic: LocalAPIC
  /// The values of the MSRs that L0 only keeps, by ``MSRSource/stored(_:)``.
  let storedMSRs: UnsafeMutablePointer<UInt64>
  /// The bits of CR4 that a guest can set.
  let cr4Supported: UInt64

  var vmx: VirtualVMX<L1RAM, PagePool>
  var log: ExitLog
  var entryFailures = EntryFailureLog()
  /// Nil unless somebody wants to see the VMCSs.
  let watch: VMCSWatch?
  /// Nil unless exit trees are recorded with their VMCSs.
  let recorder: TreeRecorder?
  /// How the run ended, once it has.
  var outcome: RunOutcome?
  /// What its local APIC asks of it, and what L0 asks of the processor for that.
  var requests = InterruptRequests()
  /// What L1 waits for, if it does.
  var wait: Wait?
  /// The instruction that the processor executes on windows in the place of devices, if it does.
  var deviceStep: DeviceStep?
  /// What MWAIT looks at.
  var monitor: MonitoredLine?
  /// The exit whose handling is not over: the guest has not been entered again.
  private var openExit: OpenExit?
  /// Whether the turn is over, although the guest could go on.
  var yields = false
  /// PAUSEs in this turn.
  var pauses = 0
  /// Guest instructions that it has retired.
  private(set) var instructions: UInt64 = 0
  /// The instructions retired up to the last exit, and the exits since then that retired none.
  private var retired: UInt64 = 0
  private var barrenExits: UInt64 = 0
  /// The clock's counts of L1's accesses of the shadow VMCS at the last exit.
  private var shadowAccesses: (reads: UInt64, writes: UInt64) = (0, 0)

  init(
    _ number: Int, processor: P, vmx: consuming VirtualVMX<L1RAM, PagePool>, ram: L1RAM,
    devices: MachineDevices, configuration: MachineConfiguration
  ) {
    self.number = number
    self.apic = devices.board.localAPICs[number]
    self.devices = devices
    self.attention = devices.attention
    self.storedMSRs = MSRPolicy.makeStorage()
    self.processor = processor
    self.registers = processor.registers
    self.clock = processor.clock
    self.ram = ram
    self.prices = configuration.costs.prices
    self.work = .allocate(capacity: 1)
    self.work.initialize(to: RunningGuest.HandlerWork())
    let cpuid = CPUIDPolicy(
      frequency: configuration.costs.frequency, model: configuration.model, available: processor.features,
      processor: number, count: configuration.processorCount)
    self.cpuid = cpuid
    self.cr4Supported =
      processor.capabilities.cr4Fixed1 & cpuid.features.controlRegister4.rawValue
    self.vmx = vmx
    self.log = ExitLog(mode: configuration.trace, processor: UInt8(clamping: number))
    self.watch = configuration.watched.map { VMCSWatch($0) }
    self.recorder = configuration.recorded.map { TreeRecorder($0) }
    let access = prices.accessByL1(configuration.nested.vmcsAccess)
    clock.pointee.shadowReadCycles = access.read
    clock.pointee.shadowWriteCycles = access.write
  }

  deinit {
    work.deallocate()
    storedMSRs.deallocate()
  }

  /// The guest that runs, as L0's handlers see it.
  var guest: RunningGuest { RunningGuest(vmcs: vmx.running, registers: registers, work: work) }

  /// The level that runs.
  var level: ExitLevel { vmx.isInL2 ? .l2 : .l1 }

  /// Runs the guest until its turn, which lasts to virtual time `end`, is over, or it waits, or the run ends.
  mutating func takeTurn(until end: UInt64) -> TurnEnd {
    var end = end
    yields = false
    pauses = 0
    let sent = attention.pointee.interprocessorCount
    // What the clock has counted since this virtual CPU's last exit is of the others.
    shadowAccesses = (clock.pointee.shadowReads, clock.pointee.shadowWrites)
    while true {
      if clock.pointee.cycles >= attention.pointee.deadline { devices.advance(to: clock.pointee.cycles) }
      if requests.seen != attention.pointee.generation { lookAtDevices() }
      if isWaiting {
        guard canWake else { return .waits }
        // What ends HLT and MWAIT may be masked; a start-up IPI has yet to be obeyed.
        if wait != .startUp { wait = nil }
      }
      if deviceStep == nil { deliverEvents() }
      // A notification that woke L2 may have had nothing for it.
      if wait == .startUp || deviceStep == nil && isWaiting && !canWake { return .waits }
      closeExit()
      if let outcome { return .ended(.ended(outcome)) }
      if yields, deviceStep == nil { return .yields }
      if let end = enter(until: end) { return .ended(end) }
      if end != .max, sent != attention.pointee.interprocessorCount {
        end = min(end, clock.pointee.cycles &+ VirtualProcessors<P>.shortTurnCycles)
      }
    }
  }

  /// Enters the guest once and handles its exit; returns how the run ended, if it did.
  private mutating func enter(until end: UInt64) -> RunEnd? {
    let before = clock.pointee.instructions
    clock.pointee.interruptDeadline = interruptDeadline(end)
    let entry = processor.enter(vmx.running)
    instructions &+= clock.pointee.instructions &- before
    switch entry {
    case .exit(let reason): handle(reason)
    case .failed(let error):
      guard let reason = vmx.exitOfRefusedEntry() else { return .ended(refusedEntry(error)) }
      handle(reason)
    case .stopped(.idle): return .ended(.halted(level: level, rip: guest[.guestRIP]))
    case .stopped(let cause): return .stoppedBy(cause)
    }
    if clock.pointee.cycles >= end { yields = true }
    if let outcome {
      closeExit()
      return .ended(outcome)
    }
    return isStuck() ? .stoppedBy(.instructionLimit) : nil
  }

  /// When the guest is to be interrupted, in a turn that lasts to `end`. Nothing comes between the steps of one
  /// instruction.
  private func interruptDeadline(_ end: UInt64) -> UInt64 {
    if deviceStep != nil { return .max }
    return requests.needsExit ? clock.pointee.cycles : min(attention.pointee.deadline, end)
  }

  /// Whether as many exits in a row as instructions are allowed have retired none, as when L1's VMRESUME is its own host
  /// RIP: the limit would never be reached.
  private mutating func isStuck() -> Bool {
    let instructions = clock.pointee.instructions
    barrenExits = instructions == retired ? barrenExits &+ 1 : 0
    retired = instructions
    return barrenExits > clock.pointee.instructionLimit
  }

  /// The way of one exit: route it, and perform what it demands. It is accounted for when the guest goes on.
  private mutating func handle(_ reason: ExitReasonField) {
    let vmcs = vmx.running
    let workBefore = vmx.work
    work.pointee = RunningGuest.HandlerWork()
    var event = ExitEvent(
      from: level, reason: reason.basicNumber, start: clock.pointee.cycles,
      instructions: clock.pointee.instructions, rip: vmcs[.guestRIP], qualification: vmcs[.exitQualification],
      processor: UInt8(clamping: number))

    if let recorder { recorder.noteExit(from: event.from, reason: event.reason, vmcsSet) }
    if log.isRecording { event.operand = operand(of: reason, vmcs) }
    event.routedTo = perform(reason)
    performInvalidations()
    if level != event.from { work.pointee.vmptrlds &+= 1 }
    if let watch, event.from == .l2 { watch.noteExit(vmcsSet) }
    noteGuestAccesses(&event.work)
    openExit = OpenExit(event: event, workBefore: workBefore)
  }

  /// Accounts for the exit that has been handled: the guest goes on now, or never will.
  mutating func closeExit(isCutShort: Bool = false) {
    guard let open = openExit else { return }
    openExit = nil
    var event = open.event
    event.work = work(since: open.workBefore)
    event.work.guestReads = open.event.work.guestReads
    event.work.guestWrites = open.event.work.guestWrites
    event.hostCycles = prices.exit(event.work)
    clock.pointee.cycles &+= event.hostCycles
    event.end = clock.pointee.cycles
    event.isFinished = outcome == nil && !isCutShort
    if event.isTreeRoot { log.openTree(event) }
    let endsTree = event.from == .l1 && (vmx.isInL2 || !vmx.isInVMXOperation)
    if let recorder {
      recorder.noteHandled(event, tree: log.currentTree, endsTree: endsTree, vmcsSet)
    }
    if !event.isTreeRoot { log.append(event) }
    if endsTree { log.closeTree(at: event.end, finished: vmx.isInL2) }
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
    if deviceStep != nil, continueDeviceStep(reason) { return .l0 }
    let wasInL2 = vmx.isInL2
    switch vmx.route(reason) {
    case .reflectedToL1(let exit):
      reflect(exit)
      return .l1
    case .keptByL0(.externalInterrupt): return takeInterruptExit()
    case .keptByL0(.nonMaskableInterrupt): return takeNMIExit()
    case .keptByL0(let handler):
      handle(handler, reason)
      // An exception of an instruction that L0 has emulated for L2 may be one that L1 wants to see.
      guard handler == .emulation || handler == .memoryOfL1, reason.basic != .exceptionOrNMI,
        let exit = vmx.interceptedException()
      else { return wasInL2 && !vmx.isInL2 ? .l1 : .l0 }
      reflect(exit)
      return .l1
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

/// An exit that is being handled.
private struct OpenExit {
  var event: ExitEvent
  /// The nested core's work before it.
  var workBefore: WorkCounters
}

/// How the turn of a virtual CPU ended.
enum TurnEnd {
  /// It is another's turn.
  case yields
  /// The guest waits for an event.
  case waits
  case ended(RunEnd)
}

/// Why the run loop ended.
enum RunEnd {
  case ended(RunOutcome)
  case stoppedBy(StopCause)
}
