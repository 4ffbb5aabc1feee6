import CKVM
import Glibc
import GuestMemory
import InstructionDecoder
import Processor
import SoftwareProcessor
import Synchronization
import Translation
import VMX
import X86

/// The processor on `/dev/kvm`: a guest's plain instructions run on a virtual CPU of KVM, and everything else is handed to
/// a software processor inside, one instruction at a time.
///
/// Nothing of KVM's own nesting is used. Stock KVM shows user space few of the events that VMX knows, so the processor
/// does not wait to be shown them: no instruction runs on the virtual CPU before it was decoded, and those that can cause
/// VM exits never do (``CodePage``). What is left to KVM are faults, which it reports in ways that differ from host to
/// host and that ``KVMCalibration`` finds out; the instruction that met one is executed anew by the software processor,
/// which knows what it means. So exit reasons, qualifications, lengths and the VM-entry checks have one source.
public final class KVMCPU: VMXProcessor {
  public let memory: PhysicalMemory
  /// How a guest's sensitive instructions are found.
  public let intercepts: InterceptMode
  /// What the host's KVM was found to do.
  public let calibration: KVMCalibration
  /// What the run did, by who did it.
  public private(set) var counts = KVMRunCounts()
  public private(set) var failureSentence: String?

  let software: SoftwareCPU
  let system: KVMSystem
  let copies: CopyStore
  /// The file that RAM is in.
  let memoryFile: Int32
  var spaces: [UInt64: GuestSpace] = [:]
  /// The space of the EPT that is in use.
  var space: GuestSpace?
  var codePages: [Int: CodePage] = [:]
  /// The pages that were fetched from last.
  let fetchedPages = UnsafeMutablePointer<FetchedPage>.allocate(capacity: FetchedPage.count)
  /// Where branches from page to page lead, and what that was found under.
  var linked: Set<LinkedPage> = []
  var linkedGeneration: UInt64 = 0
  var linkedCR3: UInt64 = 0
  var linkedSpace: GuestSpace?
  /// The pages of RAM in which code was decoded, by whomever.
  var watched: Set<Int> = []
  /// What it has taken to map what the guest missed, in nanoseconds.
  var mappingTime: UInt64 = 0
  /// When KVM is lent the guest.
  var lending: LendingPolicy
  /// The stores to watched pages that have been dealt with.
  var seenWrites: UInt64 = 0
  private var clockOfUse: UInt64 = 0
  /// The deadline that the timer is set for.
  var armedDeadline: UInt64 = .max
  /// Whether the timer has been set, and the thread's kicks then: with another one it has expired.
  var isTicking = false
  private var kicksWhenArmed: UInt32 = 0
  private var timer: Int = -1
  private var timerThread: Int32 = 0
  /// How long the run lasted that a tick has just ended, in nanoseconds.
  var interruptedAfter: UInt64?
  /// How long this thread had run when the length of a run was guessed last, in nanoseconds.
  var threadTimeOfGuess: UInt64 = 0
  /// The thread that runs the guest, or 0.
  private let runner = Atomic<Int32>(0)

  /// As many address spaces as L1 with a few L2s has; more of them make one forget its mappings.
  private static let greatestSpaceCount = 8

  /// A processor over `memory`, in which nothing has been stored yet.
  public init(
    memory: PhysicalMemory, features: ProcessorFeatures = SoftwareCPU.features,
    intercepts: InterceptMode = .patched, lending: Lending = .all, path: String = KVMHost.defaultPath
  ) throws(KVMError) {
    system = try KVMSystem(path: path)
    guard ckvm_prepare_kicks() == 0 else { throw .last(.signal) }
    calibration = try KVMCalibration.known(system, path: path)
    capabilities = calibration.capabilities
    if let sentence = calibration.obstacle(to: intercepts) { throw .unsuitable(sentence) }
    copies = try CopyStore()
    memoryFile = ckvm_memory_file("testudo-memory", memory.size)
    guard memoryFile >= 0 else { throw .last(.memoryFile) }
    do throws(MemoryError) {
      try memory.move(to: memoryFile)
    } catch {
      close(memoryFile)
      throw .last(.mapMemory)
    }
    guard
      let software = SoftwareCPU(
        memory: memory, features: features, capabilities: capabilities), software.listFreshCode()
    else {
      close(memoryFile)
      throw .refused(.mapMemory, errno: ENOMEM)
    }
    fetchedPages.initialize(repeating: .none, count: FetchedPage.count)
    self.software = software
    self.memory = memory
    self.intercepts = intercepts
    // Steps are wanted for their own sake.
    self.lending = LendingPolicy(
      intercepts == .stepped ? .all : lending, pace: calibration.nanosecondsPerInstruction)
  }

  deinit {
    if timer != -1 { ckvm_delete_timer(timer) }
    fetchedPages.deallocate()
    close(memoryFile)
  }

  public var name: StaticString { "kvm" }
  public var features: ProcessorFeatures { software.features }
  public let capabilities: VMXCapabilities
  public var registers: UnsafeMutablePointer<RegisterFile> { software.registers }
  public var clock: UnsafeMutablePointer<VirtualClock> { software.clock }
  public var failure: String? { failureSentence }

  public var externalInterrupt: UInt8? {
    get { software.externalInterrupt }
    set { software.externalInterrupt = newValue }
  }
  public var isNMIPending: Bool {
    get { software.isNMIPending }
    set { software.isNMIPending = newValue }
  }

  public func requestStop() {
    software.requestStop()
    let thread = runner.load(ordering: .sequentiallyConsistent)
    if thread != 0 { ckvm_kick(thread) }
  }

  // MARK: VM entry

  public func enter(_ vmcs: VMCS) -> EntryOutcome {
    // The software processor's TLB sees a few instructions of many: its misses are nobody's.
    clock.pointee.pageWalks = nil
    clock.pointee.walkReferenceCycles = 0
    counts.entries &+= 1
    if let outcome = software.beginHosted(vmcs) { return outcome }
    if let outcome = software.runHosted(vmcs, instructions: 0) { return outcome }
    let thread = ckvm_this_thread()
    runner.store(thread, ordering: .sequentiallyConsistent)
    defer {
      runner.store(0, ordering: .sequentiallyConsistent)
      ckvm_accept_kicks(nil)
    }
    do throws(KVMError) {
      try prepareTimer(thread)
      try selectSpace()
      let outcome = try run(vmcs)
      try forgetMissedPage(vmcs, outcome)
      return outcome
    } catch {
      failureSentence = error.description
      return software.stopHosted(vmcs, .failed)
    }
  }

  /// An EPT violation invalidates the mappings that caused it.
  ///
  /// Source: SDM volume 3, "Operations that Invalidate Cached Mappings".
  private func forgetMissedPage(_ vmcs: VMCS, _ outcome: EntryOutcome) throws(KVMError) {
    guard case .exit(let reason) = outcome,
      reason.basic == .eptViolation || reason.basic == .eptMisconfiguration
    else { return }
    fetchedPages.update(repeating: .none, count: FetchedPage.count)
    try space?.forget(guest: vmcs[.guestPhysicalAddress] >> 12)
  }

  private func run(_ vmcs: VMCS) throws(KVMError) -> EntryOutcome {
    while true {
      switch lending.isDue && software.isPlain ? try lend() : .handOver {
      case .again: continue
      case .settle:
        if let outcome = software.runHosted(vmcs, instructions: 0) { return outcome }
      case .handOver:
        if let outcome = handOver(vmcs) { return outcome }
        try watchDecodedCode()
      }
    }
  }

  /// Runs plain instructions on KVM, and takes note of what was gained.
  private func lend() throws(KVMError) -> PlainEnd {
    guard hasSuitableMode else {
      lending.noteRefusal(isLasting: true)
      return .handOver
    }
    guard lending.lending == .gain else { return try runPlain() }
    let (start, instructions) = (ckvm_time(), clock.pointee.instructions)
    let runs = counts.runs
    let mappings = mappingTime
    let code = knownCode
    var end = PlainEnd.again
    while end == .again { end = try runPlain() }
    if counts.runs == runs {
      lending.noteRefusal(isLasting: false)
    } else {
      // What is mapped once is there for the next runs, too.
      let time = ckvm_time() &- start &- (mappingTime &- mappings)
      let isGain = lending.noteRun(
        instructions: clock.pointee.instructions &- instructions, time: Double(time))
      (code ?? knownCode)?.noteRun(isGain: isGain)
    }
    return end
  }

  /// Has the software processor execute the next instruction, and as many behind it as are its turn.
  private func handOver(_ vmcs: VMCS) -> EntryOutcome? {
    let before = clock.pointee.instructions
    let count = max(lending.stretch, exactTurn)
    let start = count >= LendingPolicy.leastStretch ? ckvm_time() : 0
    let outcome = software.runHosted(vmcs, instructions: count)
    let executed = clock.pointee.instructions &- before
    counts.handedOver &+= executed
    lending.noteTurn(instructions: executed)
    if start != 0 {
      lending.noteStretch(instructions: executed, time: Double(ckvm_time() &- start))
      if outcome == nil, !lending.isDue, hasSuitableMode, knownCode?.isGain == true { lending.endTurn() }
    }
    return outcome
  }

  /// Makes the space of the EPT that the guest runs under the current one.
  private func selectSpace() throws(KVMError) {
    clockOfUse &+= 1
    let root = software.hostedEPTPointer & 0x000F_FFFF_FFFF_F000
    if space?.root != root {
      if let known = spaces[root] { space = known } else { space = try makeSpace(root) }
      isTicking = false
    }
    guard let space else { return }
    space.age = clockOfUse
    ckvm_accept_kicks(space.machine.run)
    if software.hostedAPICAccessPage != space.hiddenPage {
      try hide(software.hostedAPICAccessPage, in: space)
    }
  }

  private func makeSpace(_ root: UInt64) throws(KVMError) -> GuestSpace {
    if spaces.count >= Self.greatestSpaceCount, let oldest = spaces.values.min(by: { $0.age < $1.age }) {
      spaces[oldest.root] = nil
    }
    let made = try GuestSpace(root: root, system: system, pageCount: Int(memory.size >> 12))
    if intercepts == .stepped { try made.machine.setStepping(true) }
    spaces[root] = made
    return made
  }

  /// The APIC-access page belongs to nobody.
  private func hide(_ page: UInt64?, in space: GuestSpace) throws(KVMError) {
    if let page { try space.forget(page: Int(page >> 12)) }
    space.hiddenPage = page
  }

  private func prepareTimer(_ thread: Int32) throws(KVMError) {
    guard thread != timerThread else { return }
    if timer != -1 { ckvm_delete_timer(timer) }
    timer = ckvm_create_timer()
    timerThread = thread
    isTicking = false
    guard timer != -1 else { throw .last(.timer) }
  }

  /// Has the virtual CPU be interrupted by the next tick, and when the clock will have reached the next deadline, as far as
  /// can be said.
  func setTimer() {
    // Between two steps the clock is exact.
    guard intercepts != .stepped else { return }
    let deadline = software.hostedDeadline
    let kicks = ckvm_kick_count()
    guard deadline != armedDeadline || kicks != kicksWhenArmed || !isTicking else { return }
    armedDeadline = deadline
    kicksWhenArmed = kicks
    isTicking = true
    // A timer that expires before the guest is entered would keep it from going on at all.
    let time = Double(cyclesLeft) * calibration.nanosecondsPerInstruction + 2 * calibration.nanosecondsPerRun
    ckvm_set_timer(timer, UInt64(min(time, Double(tick))))
  }

  /// The time between two ticks in nanoseconds: long against what a run may take for other reasons than its length.
  private(set) lazy var tick = UInt64(max(2e6, 50 * calibration.nanosecondsPerRun))

  // MARK: The contract's other part

  public func readMSR(_ index: UInt32) -> UInt64? {
    capabilities.value(ofMSR: index) ?? software.readMSR(index)
  }
  public func writeMSR(_ index: UInt32, _ value: UInt64) -> Bool { software.writeMSR(index, value) }
  public var xcr0: UInt64 { software.xcr0 }
  public func writeXCR0(_ value: UInt64) -> Bool { software.writeXCR0(value) }
  public var contextSize: Int { software.contextSize }
  public func saveContext(to place: UnsafeMutableRawPointer) { software.saveContext(to: place) }
  public func restoreContext(from place: UnsafeRawPointer) { software.restoreContext(from: place) }

  /// Forgets the mappings too: the next accesses of the guest map its pages anew.
  public func invalidateEPT(_ scope: EPTInvalidation) {
    software.invalidateEPT(scope)
    do throws(KVMError) {
      switch scope {
      case .singleContext(let eptp): try spaces[eptp & 0x000F_FFFF_FFFF_F000]?.forgetAll()
      case .allContexts: for space in spaces.values { try space.forgetAll() }
      }
    } catch {
      // What cannot be unmapped must not be run on.
      spaces = [:]
      space = nil
    }
    unlinkAll()
  }

  public func invalidateVPID(_ scope: VPIDInvalidation) { software.invalidateVPID(scope) }

  // MARK: Counting

  func count(_ change: (inout KVMRunCounts) -> Void) { change(&counts) }
}

/// How a guest's sensitive instructions are found.
public enum InterceptMode: String, CaseIterable, Sendable {
  /// They are replaced by HLT in a copy of the guest's code, page by page, before the guest can come to them.
  case patched
  /// The same, but calls, returns and jumps between pages are left to KVM. Exact for guests whose functions return behind
  /// their calls; a guest that leaves the code that was decoded may execute a sensitive instruction without a VM exit.
  case native
  /// The guest runs by single steps, each instruction decoded before it. Slow, and nothing in the guest's code is changed.
  case stepped
}

/// What was done by whom in the runs of a ``KVMCPU``.
public struct KVMRunCounts: Equatable, Sendable {
  /// VM entries.
  public var entries: UInt64 = 0
  /// KVM_RUNs.
  public var runs: UInt64 = 0
  /// Instructions that the software processor executed.
  public var handedOver: UInt64 = 0
  /// Pages and larger ranges mapped into a guest's memory.
  public var mappings: UInt64 = 0
  /// Faults that a virtual CPU met for another reason than a mapping that was missing.
  public var faults: UInt64 = 0
}
