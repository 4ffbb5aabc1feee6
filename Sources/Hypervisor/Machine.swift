import CostModel
import GuestMemory
import NestedVMX
import Processor
import Synchronization
import Trace
import VMX
import X86

/// A machine: L0 with one virtual CPU, its memory and its devices, and a processor to run on.
///
/// It runs once. All of it belongs to the thread that calls ``run()``, but for ``requestStop(_:)``.
public final class Machine<P: VMXProcessor>: @unchecked Sendable {
  public let configuration: MachineConfiguration
  public let processor: P
  let devices: MachineDevices
  let ram: L1RAM
  let pool: PagePool
  let vmcs01: VMCS
  private let stopRequest = StopRequest()
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
    let reader = ImageReader(image: configuration.image)
    let plan = try BootPlan(reader, by: configuration.bootProtocol)
    let layout = MachineLayout(memorySize: configuration.memorySize)
    let memory = try Self.makeMemory(layout)
    let ram = L1RAM(memory: memory, layout: layout)
    let pool = PagePool(memory: memory, size: layout.poolSize)
    let processor = try makeProcessor(memory)

    try plan.load(from: reader, to: ram)
    guard try BootInformation(layout, commandLine: configuration.commandLine).write(to: ram) else {
      throw MachineError.memorySize(configuration.memorySize)
    }
    self.vmcs01 = try Self.makeVMCS01(plan, layout, pool, processor)
    self.configuration = configuration
    self.processor = processor
    self.ram = ram
    self.pool = pool
    self.devices = MachineDevices(serialOutput: configuration.serialOutput)
  }

  deinit { pool.deallocate() }

  private static func makeMemory(_ layout: MachineLayout) throws(MachineError) -> PhysicalMemory {
    do throws(MemoryError) { return try PhysicalMemory(size: layout.totalSize) } catch {
      throw .noMemory(error.description)
    }
  }

  private static func makeVMCS01(
    _ plan: BootPlan, _ layout: MachineLayout, _ pool: PagePool, _ processor: P
  ) throws(MachineError) -> VMCS {
    guard let page = pool.allocate(), let msrBitmap = pool.allocate(),
      let ept01 = EPT01Builder(pool: pool).build(layout)
    else { throw .noMemory("the pool of L0's own pages is too small for ept01") }
    MSRPolicy.fillBitmap(msrBitmap.bytes)
    let builder = VMCS01Builder(capabilities: processor.capabilities, vmcs: VMCS(region: page.bytes))
    try builder.writeControls(VMCS01Pages(ept01: ept01, msrBitmap: msrBitmap.address))
    builder.writeInitialState(plan, registers: processor.registers)
    return builder.vmcs
  }

  /// Runs until the guest ends, fails or is stopped. What was counted is in the result in every case.
  public func run() -> RunResult {
    guard !hasRun else { return RunResult(.internalError(sentence: "a machine runs only once")) }
    hasRun = true
    if let limit = configuration.instructionLimit { processor.clock.pointee.instructionLimit = limit }
    let vmx: VirtualVMX<L1RAM, PagePool>
    do throws(NestedSetupError) {
      vmx = try VirtualVMX(
        vmcs01: vmcs01, registers: processor.registers, processor: processor.capabilities, memory: ram,
        pages: pool, policy: configuration.nested, physicalAddressWidth: L1RAM.physicalAddressWidth)
    } catch {
      return RunResult(
        .internalError(sentence: "the pool of L0's own pages is too small for the nested machine"))
    }
    var cpu = VirtualCPU(
      processor: processor, vmx: vmx, ram: ram, devices: devices, configuration: configuration)
    let end = cpu.run()
    cpu.watch?.finish(isInL2: cpu.vmx.isInL2, cpu.vmcsSet)
    cpu.log.finish(at: processor.clock.pointee.cycles)
    return RunResult(outcome(end), cpu)
  }

  private func outcome(_ end: RunEnd) -> RunOutcome {
    switch end {
    case .ended(let outcome): outcome
    case .stoppedBy(.instructionLimit): .instructionLimit(processor.clock.pointee.instructionLimit)
    case .stoppedBy(.requested), .stoppedBy(.idle):
      .stopped(stopRequest.reason ?? .interrupted)
    }
  }

  /// Ends the run soon, as `reason` says. Callable from any thread and from a signal handler; the first reason counts.
  public func requestStop(_ reason: StopReason) {
    stopRequest.make(reason)
    processor.requestStop()
  }
}

/// The first reason that somebody outside gave to end a run. Safe in a signal handler.
final class StopRequest: Sendable {
  private let value = Atomic<UInt8>(0)

  var reason: StopReason? { StopReason(rawValue: value.load(ordering: .relaxed)) }

  func make(_ reason: StopReason) {
    _ = value.compareExchange(expected: 0, desired: reason.rawValue, ordering: .relaxed)
  }
}

extension RunResult {
  /// The result of a run that never began.
  init(_ outcome: RunOutcome) {
    self.init(
      outcome: outcome, exits: [], trees: [], instructions: 0, virtualCycles: 0, events: [], droppedEvents: 0,
      entryFailures: [], failedEntries: 0, sync: SyncCounts())
  }

  /// What `cpu` leaves behind.
  init<P: VMXProcessor>(_ outcome: RunOutcome, _ cpu: borrowing VirtualCPU<P>) {
    self.init(
      outcome: outcome, exits: cpu.log.exitCounts, trees: cpu.log.treeCounts,
      instructions: cpu.clock.pointee.instructions, virtualCycles: cpu.clock.pointee.cycles,
      events: cpu.log.events, droppedEvents: cpu.log.dropped, entryFailures: cpu.entryFailures.reports,
      failedEntries: cpu.entryFailures.count, sync: SyncCounts(cpu.vmx.sync))
    exitlessAccesses = ExitlessAccesses(cpu.clock.pointee)
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
  init(_ counters: SyncCounters) {
    regionsLoaded = counters.regionsLoaded
    regionsFlushed = counters.regionsFlushed
    shadowFills = counters.shadowFills
    shadowDrains = counters.shadowDrains
    fieldsToShadow = counters.fieldsToShadow
    fieldsFromShadow = counters.fieldsFromShadow
  }
}
