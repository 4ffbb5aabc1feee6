import CostModel
import GuestMemory
import NestedVMX
import Platform
import Processor
import Synchronization
import Trace
import VMX
import X86

/// A machine: L0 with its virtual CPUs, its memory and its devices, and a processor to run them on.
///
/// It runs once. All of it belongs to the thread that calls ``run()``, but for ``requestStop(_:)``.
public final class Machine<P: VMXProcessor>: @unchecked Sendable {
  public let configuration: MachineConfiguration
  public let processor: P
  let devices: MachineDevices
  let ram: L1RAM
  let pool: PagePool
  /// L0's VMCS for L1 on each virtual CPU.
  let vmcs01s: [VMCS]
  private let stopRequest = StopRequest()
  /// The hardware exits so far.
  private let exits = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  private var hasRun = false

  /// A machine with `configuration`'s image loaded and ready to run, on the processor that `makeProcessor` makes for
  /// its L0-physical memory. Throws ``MachineError``, ``ImageError``, or what `makeProcessor` throws.
  public init(
    _ configuration: MachineConfiguration, makeProcessor: (PhysicalMemory) throws -> P
  ) throws {
    guard configuration.memorySize & 0xFFF == 0,
      configuration.memorySize >= MachineConfiguration.minimumMemory,
      configuration.memorySize <= MachineConfiguration.maximumMemory
    else { throw MachineError.memorySize(configuration.memorySize) }
    let processorCount = configuration.processorCount
    guard 1...MachineConfiguration.maximumProcessorCount ~= processorCount else {
      throw MachineError.processorCount(processorCount)
    }
    guard processorCount == 1 || configuration.nested.memoryDesign.usesEPT else {
      throw MachineError.processorsWithoutEPT(processorCount)
    }
    let layout = MachineLayout(memorySize: configuration.memorySize)
    let memory = try Self.makeMemory(layout)
    let ram = L1RAM(memory: memory, layout: layout)
    let pool = PagePool(memory: memory, size: layout.poolSize)
    let processor = try makeProcessor(memory)

    let features = configuration.features(on: processor.features)
    var board = BoardConfiguration(configuration, layout, ram)
    board.hasX2APIC = features.featuresECX.contains(.x2apic)
    board.hasDeadlineTimer = features.featuresECX.contains(.tscDeadline)
    let plan = try BootLoader(configuration: configuration, layout: layout, board: board).load(to: ram)
    self.vmcs01s = try Self.makeVMCS01s(configuration, layout, pool, processor)
    VMCS01Builder(capabilities: processor.capabilities, vmcs: vmcs01s[0])
      .writeInitialState(plan, registers: processor.registers)
    exits.initialize(to: 0)
    self.configuration = configuration
    self.processor = processor
    self.ram = ram
    self.pool = pool
    self.devices = MachineDevices(
      board, clock: processor.clock, frequency: configuration.costs.frequency)
    if plan.bootProtocol == .multiboot {
      devices.board.leaveTimerRunning()
      devices.noteAccess()
    }
    if let input = configuration.consoleInput { devices.connect(input, waking: self) }
  }

  deinit {
    pool.deallocate()
    exits.deallocate()
  }

  /// How far the run has come. Callable from any thread, which may see the counts a little late.
  public var progress: RunProgress {
    RunProgress(instructions: processor.clock.pointee.instructions, exits: exits.pointee)
  }

  private static func makeMemory(_ layout: MachineLayout) throws(MachineError) -> PhysicalMemory {
    do throws(MemoryError) { return try PhysicalMemory(size: layout.totalSize) } catch {
      throw .noMemory(error.description)
    }
  }

  /// The VMCSs share ept01 and the MSR bitmap. The virtual CPUs but the first wait for a start-up IPI.
  private static func makeVMCS01s(
    _ configuration: MachineConfiguration, _ layout: MachineLayout, _ pool: PagePool, _ processor: P
  ) throws(MachineError) -> [VMCS] {
    let exhausted = MachineError.noMemory("the pool of L0's own pages is too small for ept01")
    guard let msrBitmap = pool.allocate(), let ept01 = EPT01Builder(pool: pool).build(layout) else {
      throw exhausted
    }
    MSRPolicy.fillBitmap(msrBitmap.bytes)
    let pages = VMCS01Pages(ept01: ept01, msrBitmap: msrBitmap.address)
    let features = configuration.features(on: processor.features)
    let count = configuration.processorCount
    var vmcss: [VMCS] = []
    for number in 0..<count {
      guard let page = pool.allocate() else { throw exhausted }
      let builder = VMCS01Builder(
        capabilities: processor.capabilities, vmcs: VMCS(region: page.bytes))
      try builder.writeControls(pages, processor: number, of: count)
      builder.own(cr4BitsMissingIn: features)
      builder.withhold(instructionsMissingIn: features)
      builder.vmcs[.guestPAT] = MSRPolicy.resetPAT
      if number > 0 { builder.writeResetState() }
      vmcss.append(builder.vmcs)
    }
    return vmcss
  }

  /// Runs until the guest ends, fails or is stopped. What was counted is in the result in every case.
  public func run() -> RunResult {
    guard !hasRun else { return RunResult(.internalError(sentence: "a machine runs only once")) }
    hasRun = true
    if let limit = configuration.instructionLimit { processor.clock.pointee.instructionLimit = limit }
    var processors = VirtualProcessors(processor, count: configuration.processorCount)
    for (number, vmcs01) in vmcs01s.enumerated() {
      do throws(NestedSetupError) {
        let vmx = try VirtualVMX(
          vmcs01: vmcs01, registers: processor.registers,
          processor: processor.capabilities,
          offeredOn: processor.capabilities.restricted(
            to: configuration.model, features: configuration.features(on: processor.features)),
          without: VMXCapabilities.controls(laterThan: configuration.model), memory: ram, pages: pool,
          policy: configuration.nested,
          physicalAddressWidth: L1RAM.physicalAddressWidth)
        var cpu = VirtualCPU(
          number, processor: processor, vmx: vmx, ram: ram, devices: devices, configuration: configuration,
          exits: exits)
        if !configuration.nested.memoryDesign.usesEPT {
          guard let virtualTLB = VirtualTLB(pool) else { throw .outOfPages }
          cpu.virtualTLB = virtualTLB
        }
        processors.append(cpu)
      } catch {
        return RunResult(
          .internalError(sentence: "the pool of L0's own pages is too small for the nested machine"))
      }
    }
    let end = processors.run(devices, stopRequest)
    processors.finish()
    var result = RunResult(outcome(end), processors)
    if let feed = devices.feed { result.consoleInput = feed.count }
    return result
  }

  private func outcome(_ end: RunEnd) -> RunOutcome {
    switch end {
    case .ended(let outcome): outcome
    case .stoppedBy(.instructionLimit): .instructionLimit(processor.clock.pointee.instructionLimit)
    case .stoppedBy(.failed):
      .internalError(sentence: processor.failure ?? "the processor failed without saying why")
    case .stoppedBy(.requested), .stoppedBy(.idle):
      .stopped(stopRequest.reason ?? .interrupted)
    }
  }

  /// Ends the run soon, as `reason` says. Callable from any thread and from a signal handler; the first reason counts.
  public func requestStop(_ reason: StopReason) {
    stopRequest.make(reason)
    processor.requestStop()
    configuration.consoleInput?.interrupt()
  }
}

extension Machine: WakeableMachine {
  /// The processor stops without a reason to end the run.
  func wake() { processor.requestStop() }
}

/// The first reason that somebody outside gave to end a run. Safe in a signal handler.
final class StopRequest: Sendable {
  private let value = Atomic<UInt8>(0)

  var reason: StopReason? { StopReason(rawValue: value.load(ordering: .relaxed)) }

  func make(_ reason: StopReason) {
    _ = value.compareExchange(expected: 0, desired: reason.rawValue, ordering: .relaxed)
  }
}

extension BoardConfiguration {
  init(_ configuration: MachineConfiguration, _ layout: MachineLayout, _ ram: L1RAM) {
    self.init(lowMemory: layout.low.size)
    memory = ram
    clockStart = configuration.clockStart
    firmwareFiles = configuration.firmwareFiles
    virtioDevices = configuration.disks.prefix(MachineConfiguration.maximumDiskCount).map { VirtioBlock($0) }
    if let consoleOutput = configuration.consoleOutput {
      virtioDevices.append(VirtioConsole(sink: consoleOutput))
    }
    virtioDevices.append(VirtioEntropy())
    highMemory = layout.high.size
    processorCount = configuration.processorCount
    serialOutput = configuration.serialOutput
  }
}

extension RunResult {
  /// The result of a run that never began.
  init(_ outcome: RunOutcome) {
    self.init(
      outcome: outcome, exits: [], trees: [], instructions: 0, virtualCycles: 0, events: [], droppedEvents: 0,
      entryFailures: [], failedEntries: 0, sync: SyncCounts())
  }

  /// What `processors` leave behind.
  init<P: VMXProcessor>(_ outcome: RunOutcome, _ processors: borrowing VirtualProcessors<P>) {
    self.init(outcome)
    exitlessAccesses = ExitlessAccesses(processors.clock.pointee)
    instructions = processors.clock.pointee.instructions
    virtualCycles = processors.clock.pointee.cycles
    walkReferenceCycles = processors.clock.pointee.walkReferenceCycles
    idleCycles = processors.idleCycles
    for number in 0..<processors.count {
      add(processors.cpus[number])
    }
  }

  private mutating func add<P: VMXProcessor>(_ cpu: borrowing VirtualCPU<P>) {
    let ownExits = cpu.log.exitCounts
    exits = exits.adding(ownExits)
    trees = trees.adding(cpu.log.treeCounts)
    events += cpu.log.events
    droppedEvents &+= cpu.log.dropped
    entryFailures += cpu.entryFailures.reports
    failedEntries &+= cpu.entryFailures.count
    sync.add(cpu.vmx.sync)
    pageWalks.add(cpu.pageWalks)
    processors.append(
      ProcessorCount(
        number: cpu.number, exits: ownExits.reduce(0) { $0 &+ $1.count }, instructions: cpu.instructions))
  }
}

extension ExitlessAccesses {
  init(_ clock: VirtualClock) {
    reads = clock.shadowReads
    writes = clock.shadowWrites
    cycles = reads &* clock.shadowReadCycles &+ writes &* clock.shadowWriteCycles
  }
}

extension SyncCounts {
  mutating func add(_ counters: SyncCounters) {
    regionsLoaded &+= counters.regionsLoaded
    regionsFlushed &+= counters.regionsFlushed
    shadowFills &+= counters.shadowFills
    shadowDrains &+= counters.shadowDrains
    fieldsToShadow &+= counters.fieldsToShadow
    fieldsFromShadow &+= counters.fieldsFromShadow
  }
}
