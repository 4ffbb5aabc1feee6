import CostModel
import GuestMemory
import Processor
import Synchronization
import Trace

/// A machine: L0 with one virtual CPU, its memory and its devices, and a processor to run on.
///
/// It runs once. All of it belongs to the thread that calls ``run()``, but for ``requestStop(_:)``.
public final class Machine<P: VMXProcessor>: @unchecked Sendable {
  public let configuration: MachineConfiguration
  public let processor: P
  let stopRequest = Atomic<UInt8>(0)

  /// A machine with `configuration`'s image loaded and ready to run, on the processor that `makeProcessor` makes for
  /// its L0-physical memory. Throws ``MachineError``, ``ImageError``, or what `makeProcessor` throws.
  public init(
    _ configuration: MachineConfiguration, makeProcessor: (PhysicalMemory) throws -> P
  ) throws {
    guard configuration.memorySize & 0xFFF == 0,
      configuration.memorySize >= MachineConfiguration.minimumMemory,
      configuration.memorySize <= MachineConfiguration.maximumMemory
    else { throw MachineError.memorySize(configuration.memorySize) }
    self.configuration = configuration
    let memory: PhysicalMemory
    do throws(MemoryError) { memory = try PhysicalMemory(size: configuration.memorySize) } catch {
      throw MachineError.noMemory(error.description)
    }
    self.processor = try makeProcessor(memory)
  }

  /// Runs until the guest ends, fails or is stopped. What was counted is in the result in every case.
  public func run() -> RunResult {
    RunResult(
      outcome: .internalError(sentence: "the run loop has not landed"), exits: [], trees: [], instructions: 0,
      virtualCycles: 0, events: [], droppedEvents: 0, entryFailures: [], failedEntries: 0, sync: SyncCounts())
  }

  /// Ends the run soon, as `reason` says. Callable from any thread and from a signal handler; the first reason counts.
  public func requestStop(_ reason: StopReason) {
    _ = stopRequest.compareExchange(expected: 0, desired: reason.rawValue, ordering: .relaxed)
    processor.requestStop()
  }
}
