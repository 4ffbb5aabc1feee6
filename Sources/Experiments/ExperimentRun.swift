import CostModel
import ExitAnalysis
import Hypervisor
import Trace

/// A case of an experiment's matrix with what it measured.
public struct Measurement: Equatable, Sendable {
  public var test: Manifest.Case
  public var iterations: UInt64
  /// The exit trees of the L2 exits that the workload is about.
  public var trees: TreeWork
  /// The iterations, if they are what is measured.
  public var iterationWork: IterationWork?
  /// What the trees, or the iterations, take by the counts in them and the prices: it is what they took.
  public var predictedCycles: UInt64
  public var instructions: UInt64
  public var virtualCycles: UInt64
  public var sync: SyncCounts

  public init(
    test: Manifest.Case, iterations: UInt64, trees: TreeWork, predictedCycles: UInt64, instructions: UInt64,
    virtualCycles: UInt64, sync: SyncCounts
  ) {
    self.test = test
    self.iterations = iterations
    self.trees = trees
    self.predictedCycles = predictedCycles
    self.instructions = instructions
    self.virtualCycles = virtualCycles
    self.sync = sync
  }

  public func value(_ measure: Measure) -> Double {
    switch measure {
    case .hardwareExitsPerL2Exit: share(trees.work.exits, of: trees.trees)
    case .cyclesPerL2Exit: share(trees.span, of: trees.trees)
    case .hardwareExitsPerIteration: share(iterationWork?.work.exits ?? 0, of: iterations)
    case .cyclesPerIteration: share(iterationWork?.span ?? 0, of: iterations)
    }
  }

  private func share(_ value: UInt64, of count: UInt64) -> Double {
    count == 0 ? 0 : Double(value) / Double(count)
  }
}

/// Why an experiment came to no result.
public enum ExperimentError: Error, Equatable, CustomStringConvertible {
  /// A guest did not report success.
  case runFailed(case: Manifest.Case, outcome: RunOutcome)
  /// L2 has not executed the two CPUIDs between which it is measured.
  case notMeasured(case: Manifest.Case)

  public var description: String {
    switch self {
    case .runFailed(let test, let outcome):
      "\(test.workload) with VMCS access \(test.vmcsAccess.name), \(test.memoryDesign.rawValue)"
        + (test.carriers > 0 ? ", \(test.carriers) carriers" : "") + ": \(outcome)"
    case .notMeasured(let test):
      "\(test.workload) with \(test.memoryDesign.rawValue): expected two CPUIDs of L2, around its iterations"
    }
  }
}

/// Runs the matrix of a manifest.
public struct ExperimentRun: Sendable {
  public var manifest: Manifest
  /// Called with each machine before it runs, so that its run can be stopped.
  public var willRun:
    @Sendable (_ test: Manifest.Case, _ requestStop: @escaping @Sendable (StopReason) -> Void) -> Void

  public init(
    _ manifest: Manifest,
    willRun: @escaping @Sendable (Manifest.Case, @escaping @Sendable (StopReason) -> Void) -> Void = { _, _ in
    }
  ) {
    self.manifest = manifest
    self.willRun = willRun
  }

  /// The measurements of all cases in order. Throws ``ExperimentError``, ``MachineError`` or ``ImageError``.
  public func measurements() throws -> [Measurement] { try manifest.cases.map(measure) }

  private func measure(_ test: Manifest.Case) throws -> Measurement {
    if manifest.comparesDepths { return try measureByTwoRuns(test) }
    var configuration = try configuration(test, iterations: manifest.iterations)
    configuration.memorySize = manifest.memory
    test.vmcsAccess.apply(to: &configuration.nested)
    configuration.nested.memoryDesign = test.memoryDesign
    let collector = TreeCollector(
      TreeWork(
        areMemoryAccesses: test.vmcsAccess.model.isMemoryAccess,
        of: manifest.linux == nil ? nil : LinuxGuest.reason(of: test.workload)?.rawValue),
      recordsIterations: manifest.comparesDesigns)
    configuration.trace = .streamed { collector.add($0) }
    let result = try run(test, configuration)
    if manifest.comparesDesigns { return try measurement(test, configuration, result, collector) }
    return Measurement(
      test: test, iterations: manifest.iterations, trees: collector.trees,
      predictedCycles: collector.trees.predicted(configuration.costs.prices),
      instructions: result.instructions, virtualCycles: result.virtualCycles, sync: result.sync)
  }

  /// What a run measured whose iterations count.
  private func measurement(
    _ test: Manifest.Case, _ configuration: MachineConfiguration, _ result: RunResult,
    _ collector: TreeCollector
  ) throws -> Measurement {
    guard
      let work = IterationWork(
        collector.iterations?.events ?? [], areMemoryAccesses: test.vmcsAccess.model.isMemoryAccess)
    else { throw ExperimentError.notMeasured(case: test) }
    var measurement = Measurement(
      test: test, iterations: manifest.iterations, trees: collector.trees,
      predictedCycles: work.predicted(configuration.costs.prices), instructions: result.instructions,
      virtualCycles: result.virtualCycles, sync: result.sync)
    measurement.iterationWork = work
    return measurement
  }

  /// What a run of twice the iterations takes more than one of the iterations: whatever stands between L0 and the guest
  /// does the same for each of them, once it has begun.
  private func measureByTwoRuns(_ test: Manifest.Case) throws -> Measurement {
    let short = try wholeRun(test, iterations: manifest.iterations)
    let long = try wholeRun(test, iterations: 2 * manifest.iterations)
    let work = long.work.beyond(short.work)
    var measurement = Measurement(
      test: test, iterations: manifest.iterations,
      trees: TreeWork(areMemoryAccesses: test.vmcsAccess.model.isMemoryAccess),
      predictedCycles: work.predicted(CostTable.reference.prices), instructions: long.result.instructions,
      virtualCycles: long.result.virtualCycles, sync: long.result.sync)
    measurement.iterationWork = work
    return measurement
  }

  private func wholeRun(
    _ test: Manifest.Case, iterations: UInt64
  ) throws -> (work: IterationWork, result: RunResult) {
    var configuration = try configuration(test, iterations: iterations)
    test.vmcsAccess.apply(to: &configuration.nested)
    configuration.carry(by: test.carriers)
    configuration.memorySize = manifest.memory
    configuration.costs = .reference
    let collector = RunCollector(areMemoryAccesses: test.vmcsAccess.model.isMemoryAccess)
    configuration.trace = .streamed { collector.add($0) }
    let result = try run(test, configuration)
    collector.work.finish(result)
    return (collector.work, result)
  }

  /// Runs a machine, whose guest has to report success.
  private func run(_ test: Manifest.Case, _ configuration: MachineConfiguration) throws -> RunResult {
    let machine = try Laboratory.machine(configuration)
    willRun(test) { machine.requestStop($0) }
    let result = machine.run()
    guard result.outcome.isSuccess else {
      throw ExperimentError.runFailed(case: test, outcome: result.outcome)
    }
    return result
  }

  /// The machine for the manifest's guest, told what to do.
  private func configuration(_ test: Manifest.Case, iterations: UInt64) throws -> MachineConfiguration {
    if let linux = manifest.linux {
      let images = try linux.images()
      var configuration = MachineConfiguration(image: images.kernel)
      configuration.initrd = images.initrd
      configuration.commandLine = LinuxGuest.commandLine(
        workload: test.workload, iterations: iterations)
      return configuration
    }
    guard let guest = GuestCatalog.guest(manifest.guest) else {
      throw ImageError(image: manifest.guest, problem: "no such guest is built in")
    }
    var configuration = MachineConfiguration(image: guest.image)
    configuration.commandLine = Guest.commandLine(workload: test.workload, iterations: iterations)
    return configuration
  }
}

/// Gathers the exits of a run while it goes on, on the run's thread.
private final class TreeCollector: @unchecked Sendable {
  private(set) var trees: TreeWork
  /// The exits themselves, if iterations are measured.
  private(set) var iterations: IterationRecord?

  init(_ trees: TreeWork, recordsIterations: Bool) {
    self.trees = trees
    iterations = recordsIterations ? IterationRecord() : nil
  }

  func add(_ events: UnsafeBufferPointer<ExitEvent>) {
    for event in events {
      trees.add(event)
      iterations?.add(event)
    }
  }
}

/// Sums up the exits of a whole run, on the run's thread.
private final class RunCollector: @unchecked Sendable {
  var work: IterationWork

  init(areMemoryAccesses: Bool) { work = IterationWork(areMemoryAccesses: areMemoryAccesses) }

  func add(_ events: UnsafeBufferPointer<ExitEvent>) {
    for event in events { work.add(event) }
  }
}
