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
  /// What the trees take by the counts in them and the prices: it is what they took.
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
    guard trees.trees > 0 else { return 0 }
    return switch measure {
    case .hardwareExitsPerL2Exit: Double(trees.work.exits) / Double(trees.trees)
    case .cyclesPerL2Exit: Double(trees.span) / Double(trees.trees)
    }
  }
}

/// Why an experiment came to no result.
public enum ExperimentError: Error, Equatable, CustomStringConvertible {
  /// A guest did not report success.
  case runFailed(case: Manifest.Case, outcome: RunOutcome)

  public var description: String {
    switch self {
    case .runFailed(let test, let outcome):
      "\(test.workload) with VMCS access \(test.vmcsAccess.name): \(outcome)"
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
    var configuration = try configuration(test)
    configuration.memorySize = manifest.memory
    test.vmcsAccess.apply(to: &configuration.nested)
    let collector = TreeCollector(
      TreeWork(
        areMemoryAccesses: test.vmcsAccess.model.isMemoryAccess,
        of: manifest.linux == nil ? nil : LinuxGuest.reason(of: test.workload)?.rawValue))
    configuration.trace = .streamed { collector.add($0) }
    let machine = try Laboratory.machine(configuration)
    willRun(test) { machine.requestStop($0) }
    let result = machine.run()
    guard result.outcome.isSuccess else {
      throw ExperimentError.runFailed(case: test, outcome: result.outcome)
    }
    return Measurement(
      test: test, iterations: manifest.iterations, trees: collector.trees,
      predictedCycles: collector.trees.predicted(configuration.costs.prices),
      instructions: result.instructions, virtualCycles: result.virtualCycles, sync: result.sync)
  }

  /// The machine for the manifest's guest, told what to do.
  private func configuration(_ test: Manifest.Case) throws -> MachineConfiguration {
    if let linux = manifest.linux {
      let images = try linux.images()
      var configuration = MachineConfiguration(image: images.kernel)
      configuration.initrd = images.initrd
      configuration.commandLine = LinuxGuest.commandLine(
        workload: test.workload, iterations: manifest.iterations)
      return configuration
    }
    guard let guest = GuestCatalog.guest(manifest.guest) else {
      throw ImageError(image: manifest.guest, problem: "no such guest is built in")
    }
    var configuration = MachineConfiguration(image: guest.image)
    configuration.commandLine = Guest.commandLine(workload: test.workload, iterations: manifest.iterations)
    return configuration
  }
}

/// Gathers the exit trees of a run while it goes on, on the run's thread.
private final class TreeCollector: @unchecked Sendable {
  private(set) var trees: TreeWork

  init(_ trees: TreeWork) { self.trees = trees }

  func add(_ events: UnsafeBufferPointer<ExitEvent>) { for event in events { trees.add(event) } }
}
