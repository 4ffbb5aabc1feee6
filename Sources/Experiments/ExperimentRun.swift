import ExitAnalysis
import Hypervisor

/// A case of an experiment's matrix with what it measured.
public struct Measurement: Equatable, Sendable {
  public var test: Manifest.Case
  public var iterations: UInt64
  public var multiplication: Multiplication
  /// The virtual cycles from the L2 exits until L2 ran again.
  public var spanCycles: UInt64
  public var instructions: UInt64
  public var virtualCycles: UInt64
  public var sync: SyncCounts

  public init(
    test: Manifest.Case, iterations: UInt64, multiplication: Multiplication, spanCycles: UInt64,
    instructions: UInt64, virtualCycles: UInt64, sync: SyncCounts
  ) {
    self.test = test
    self.iterations = iterations
    self.multiplication = multiplication
    self.spanCycles = spanCycles
    self.instructions = instructions
    self.virtualCycles = virtualCycles
    self.sync = sync
  }

  public func value(_ measure: Measure) -> Double {
    switch measure {
    case .hardwareExitsPerL2Exit: multiplication.perL2Exit
    case .cyclesPerL2Exit:
      multiplication.l2Exits == 0 ? 0 : Double(spanCycles) / Double(multiplication.l2Exits)
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
    guard let guest = GuestCatalog.guest(manifest.guest) else {
      throw ImageError(image: manifest.guest, problem: "no such guest is built in")
    }
    var configuration = MachineConfiguration(image: guest.image)
    configuration.commandLine = Guest.commandLine(workload: test.workload, iterations: manifest.iterations)
    configuration.memorySize = manifest.memory
    test.vmcsAccess.apply(to: &configuration.nested)
    let machine = try Laboratory.machine(configuration)
    willRun(test) { machine.requestStop($0) }
    let result = machine.run()
    guard result.outcome.isSuccess else {
      throw ExperimentError.runFailed(case: test, outcome: result.outcome)
    }
    return Measurement(
      test: test, iterations: manifest.iterations, multiplication: Multiplication(result.trees),
      spanCycles: result.trees.reduce(0) { $0 &+ $1.spanCycles }, instructions: result.instructions,
      virtualCycles: result.virtualCycles, sync: result.sync)
  }
}
