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
  /// What the recorder has to be told of; it belongs to `recorder`.
  let recording: UnsafeMutablePointer<RecordingState>?
  /// How the run ended, once it has.
  var outcome: RunOutcome?
  /// The hardware exits of the whole machine.
  private let exits: UnsafeMutablePointer<UInt64>
  /// What its local APIC asks of it, and what L0 asks of the processor for that.
  var requests = InterruptRequests()
  /// What L1 waits for, if it does.
  var wait: Wait?
  /// The instruction that the processor executes on windows in the place of devices, if it does.
  var deviceStep: DeviceStep?
  /// What translates for guests without EPT; nil if the processor does it with EPT.
  var virtualTLB: VirtualTLB?
  /// What MWAIT looks at.
  var monitor: MonitoredLine?
  /// The exit whose handling is not over, if ``hasOpenExit``: the guest has not been entered again.
  private let openExit: UnsafeMutablePointer<ExitEvent>
  private var hasOpenExit = false
  /// The nested core's work before that exit.
  private var workBefore = WorkCounters()
  /// The page walks of L1 and of L2.
  private let walks: UnsafeMutablePointer<PageWalkCounts>
  /// What virtual time passed since the last exit was closed while the whole machine waited, and this virtual CPU ends
  /// it.
  var waited: UInt64 = 0
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
    devices: MachineDevices, configuration: MachineConfiguration, exits: UnsafeMutablePointer<UInt64>
  ) {
    self.exits = exits
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
    let recorder = configuration.recorded.map { TreeRecorder($0) }
    self.recorder = recorder
    self.recording = recorder?.state
    let access = prices.accessByL1(configuration.nested.vmcsAccess)
    clock.pointee.shadowReadCycles = access.read
    clock.pointee.shadowWriteCycles = access.write
    clock.pointee.walkReferenceCycles = prices.pageWalkReference
    openExit = .allocate(capacity: 1)
    openExit.initialize(to: ExitEvent(from: .l1, reason: 0, start: 0, processor: UInt8(clamping: number)))
    walks = .allocate(capacity: 2)
    walks.initialize(repeating: PageWalkCounts(), count: 2)
  }

  deinit {
    work.deallocate()
    openExit.deallocate()
    walks.deallocate()
    storedMSRs.deallocate()
  }

  /// The guest that runs, as L0's handlers see it.
  var guest: RunningGuest { RunningGuest(vmcs: vmx.running, registers: registers, work: work) }

  /// The page walks of its guests.
  var pageWalks: PageWalks { PageWalks(l1: walks[0], l2: walks[1]) }

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
      // What the last exit costs is spent when the guest goes on, in the next turn.
      if yields, deviceStep == nil { return .yields }
      if clock.pointee.cycles >= attention.pointee.deadline { devices.advance(to: clock.pointee.cycles) }
      if requests.seen != attention.pointee.generation { lookAtDevices() }
      if isWaiting {
        guard canWake else { return .waits }
        // What ends HLT and MWAIT may be masked; a start-up IPI has yet to be obeyed.
        if wait != .startUp { wait = nil }
      }
      if deviceStep == nil { deliverEvents() }
      // A notification that woke L2 may have had nothing for it.
      if wait == .startUp { return .waits }
      if deviceStep == nil, isWaiting, !canWake { return .waits }
      closeExit()
      if let outcome { return .ended(.ended(outcome)) }
      if let end = enter(until: end) { return .ended(end) }
      if end != .max, sent != attention.pointee.interprocessorCount {
        end = min(end, clock.pointee.cycles &+ VirtualProcessors<P>.shortTurnCycles)
      }
    }
  }

  /// Enters the guest once and handles its exit; returns how the run ended, if it did.
  private mutating func enter(until end: UInt64) -> RunEnd? {
    if let obstacle { return .ended(obstacle) }
    let before = clock.pointee.instructions
    let entered = clock.pointee.cycles
    let pausedBefore = clock.pointee.pausedCycles
    let guestWalks = walks + (vmx.isInL2 ? 1 : 0)
    let walksBefore = (walks: guestWalks.pointee.walks, references: guestWalks.pointee.references)
    clock.pointee.pageWalks = guestWalks
    clock.pointee.interruptDeadline = interruptDeadline(end)
    let entry = enterProcessor()
    instructions &+= clock.pointee.instructions &- before
    let paused = clock.pointee.pausedCycles &- pausedBefore
    switch entry {
    case .exit(let reason):
      noteRun(since: entered, paused: paused, guestWalks, walksBefore)
      handle(reason)
    case .failed(let error):
      guard let reason = vmx.exitOfRefusedEntry() else { return .ended(refusedEntry(error)) }
      noteRun(since: entered, paused: paused, guestWalks, walksBefore)
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

  /// What the guest ran since it was entered, with its page walks. L1 waits in UMWAIT and TPAUSE as it does in HLT; what
  /// L2 does before its exit is L2's.
  private mutating func noteRun(
    since entered: UInt64, paused: UInt64, _ guestWalks: UnsafeMutablePointer<PageWalkCounts>,
    _ before: (walks: UInt64, references: UInt64)
  ) {
    let waitedInL1 = vmx.isInL2 ? 0 : paused
    openExit.pointee.ranCycles = clock.pointee.cycles &- entered &- waitedInL1
    waited &+= waitedInL1
    openExit.pointee.work.tlbMisses = UInt32(clamping: guestWalks.pointee.walks &- before.walks)
    openExit.pointee.work.walkReferences = UInt32(
      clamping: guestWalks.pointee.references &- before.references)
  }

  /// When the guest is to be interrupted, in a turn that lasts to `end`. Nothing comes between the steps of one
  /// instruction.
  private mutating func interruptDeadline(_ end: UInt64) -> UInt64 {
    if deviceStep != nil { return .max }
    return requests.needsExit ? clock.pointee.cycles : min(attention.pointee.deadline, end)
  }

  /// Whether as many exits in a row as instructions are allowed have retired none, as when L1's VMRESUME is its own
  /// host RIP: the limit would never be reached.
  private mutating func isStuck() -> Bool {
    let instructions = clock.pointee.instructions
    barrenExits = instructions == retired ? barrenExits &+ 1 : 0
    retired = instructions
    return barrenExits > clock.pointee.instructionLimit
  }

  /// The way of one exit: route it, and perform what it demands. It is accounted for when the guest goes on.
  private mutating func handle(_ reason: ExitReasonField) {
    let vmcs = vmx.running
    let from = level
    workBefore = vmx.work
    work.pointee = RunningGuest.HandlerWork()
    openExit.pointee.from = from
    openExit.pointee.reason = reason.basicNumber
    openExit.pointee.start = clock.pointee.cycles
    openExit.pointee.instructions = clock.pointee.instructions
    openExit.pointee.rip = vmcs[.guestRIP]
    openExit.pointee.qualification = vmcs[.exitQualification]
    openExit.pointee.operand = log.isRecording ? operand(of: reason, vmcs) : 0
    if let recording, recording.pointee.wantsExit(from: from, reason: reason.basicNumber) {
      recorder?.noteExit(from: from, reason: reason.basicNumber, vmcsSet)
    }
    openExit.pointee.routedTo = perform(reason)
    performInvalidations()
    if level != from { work.pointee.vmptrlds &+= 1 }
    if let watch, from == .l2 { watch.noteExit(vmcsSet) }
    noteGuestAccesses()
    hasOpenExit = true
  }

  /// Accounts for the exit that has been handled: the guest goes on now, or never will.
  mutating func closeExit(isCutShort: Bool = false) {
    guard hasOpenExit else { return }
    hasOpenExit = false
    exits.pointee &+= 1
    let event = openExit
    noteWork()
    event.pointee.hostCycles = prices.exit(event.pointee.work)
    clock.pointee.cycles &+= event.pointee.hostCycles
    event.pointee.end = clock.pointee.cycles
    event.pointee.waitedCycles = waited
    waited = 0
    event.pointee.tree = ExitEvent.noTree
    event.pointee.isFinished = outcome == nil && !isCutShort
    let isRoot = event.pointee.isTreeRoot
    if isRoot { log.openTree(event.pointee) }
    let endsTree = event.pointee.from == .l1 && (vmx.isInL2 || !vmx.isInVMXOperation)
    if let recording, recording.pointee.wantsHandled(event) {
      recorder?.noteHandled(event.pointee, tree: log.currentTree, endsTree: endsTree, vmcsSet)
    }
    if !isRoot { log.append(event) }
    if endsTree { log.closeTree(at: event.pointee.end, finished: vmx.isInL2) }
  }

  /// The VMREADs and VMWRITEs that L1 completed on the shadow VMCS since the exit before.
  private mutating func noteGuestAccesses() {
    let (reads, writes) = (clock.pointee.shadowReads, clock.pointee.shadowWrites)
    openExit.pointee.work.guestReads = UInt32(clamping: reads &- shadowAccesses.reads)
    openExit.pointee.work.guestWrites = UInt32(clamping: writes &- shadowAccesses.writes)
    shadowAccesses = (reads, writes)
  }

  /// What L0 did for the exit: the nested core and its own handlers.
  private mutating func noteWork() {
    let nested = vmx.work.since(workBefore)
    let own = work.pointee
    openExit.pointee.work.vmcsReads = UInt32(clamping: nested.vmcsReads &+ own.vmcsReads)
    openExit.pointee.work.vmcsWrites = UInt32(clamping: nested.vmcsWrites &+ own.vmcsWrites)
    openExit.pointee.work.memoryAccesses = UInt32(
      clamping: nested.memoryReads &+ nested.memoryWrites &+ own.memoryAccesses)
    openExit.pointee.work.vmptrlds = UInt32(clamping: own.vmptrlds)
    openExit.pointee.work.invepts = UInt32(clamping: own.invepts)
    openExit.pointee.work.invvpids = UInt32(clamping: own.invvpids)
  }

  /// Routes the exit and does what its handler must; returns the level that it was routed to.
  private mutating func perform(_ exitReason: ExitReasonField) -> ExitLevel {
    work.pointee.vmcsReads &+= 1
    var reason = exitReason
    if virtualTLB != nil, handleByVirtualTLB(&reason) { return .l0 }
    if deviceStep != nil, continueDeviceStep(reason) { return .l0 }
    let wasInL2 = vmx.isInL2
    switch vmx.route(reason) {
    case .reflectedToL1(let exit):
      reflect(exit)
      return .l1
    case .keptByL0(.externalInterrupt): return takeInterruptExit()
    case .keptByL0(.nonMaskableInterrupt): return takeNMIExit()
    case .keptByL0(let handler):
      let pageFaultAddress = registers.pointee.cr2
      handle(handler, reason)
      // An exception of an instruction that L0 has emulated for L2 may be one that L1 wants to see.
      guard handler == .emulation || handler == .memoryOfL1, reason.basic != .exceptionOrNMI,
        let exit = vmx.interceptedException()
      else { return wasInL2 && !vmx.isInL2 ? .l1 : .l0 }
      // A page fault that exits does not change CR2 (SDM volume 3, "Architectural State Before a VM Exit").
      registers.pointee.cr2 = pageFaultAddress
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
        forgetLinearMappings(vpid: UInt64(vpid))
      case .address(let vpid, let linear): forgetLinearMapping(of: linear, vpid: UInt64(vpid))
      }
    }
  }
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
