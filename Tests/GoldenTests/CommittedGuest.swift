import ExitAnalysis
import Foundation
import Hypervisor
import SoftwareProcessor
import Synchronization
import Trace

/// The places in the repository that these tests read.
enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  static let images = root.appending(path: "Guests/Images")
  static let golden = root.appending(path: "Tests/GoldenTests/Golden")
}

/// Collects what a guest writes to its serial port.
final class SerialText: Sendable {
  private let bytes = Mutex<[UInt8]>([])
  func append(_ byte: UInt8) { bytes.withLock { $0.append(byte) } }
  var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
}

/// A finished run, and what the guest wrote.
struct GuestRun {
  var result: RunResult
  var serial: String

  var trees: [ExitTree] { ExitTree.trees(in: result.events) }

  /// The number of L2's exits that L1 never saw.
  var exitsOfL2KeptByL0: UInt64 {
    result.exits.filter { $0.from == .l2 && $0.routedTo == .l0 }.reduce(0) { $0 + $1.count }
  }
}

/// Why a run could not begin.
struct ProcessorUnavailable: Error {}

/// Runs `image` on the software processor, every event kept.
func runGuest(
  _ image: GuestImage, _ commandLine: String, _ configure: (inout MachineConfiguration) -> Void = { _ in }
) throws -> GuestRun {
  let serial = SerialText()
  var configuration = keptConfiguration(image, commandLine, serial)
  configure(&configuration)
  let result = try softwareMachine(configuration).run()
  return GuestRun(result: result, serial: serial.text)
}

/// A small machine for `image`, every event kept.
func keptConfiguration(
  _ image: GuestImage, _ commandLine: String, _ serial: SerialText
) -> MachineConfiguration {
  var configuration = MachineConfiguration(image: image)
  configuration.commandLine = commandLine
  configuration.memorySize = 64 << 20
  configuration.trace = .kept(limit: 1_000_000)
  configuration.instructionLimit = 100_000_000
  configuration.serialOutput = { serial.append($0) }
  return configuration
}

/// The same for one of the committed images.
func committedConfiguration(
  _ name: String, _ commandLine: String, _ serial: SerialText
) throws -> MachineConfiguration {
  let bytes = try Data(contentsOf: Repository.images.appending(path: "\(name).elf"))
  return keptConfiguration(GuestImage(name: name, bytes: Array(bytes)), commandLine, serial)
}

/// Runs one of the committed images.
func runCommitted(
  _ name: String, _ commandLine: String, _ configure: (inout MachineConfiguration) -> Void = { _ in }
) throws -> GuestRun {
  let bytes = try Data(contentsOf: Repository.images.appending(path: "\(name).elf"))
  return try runGuest(GuestImage(name: name, bytes: Array(bytes)), commandLine, configure)
}

/// A machine on the software processor.
func softwareMachine(_ configuration: MachineConfiguration) throws -> Machine<SoftwareCPU> {
  try Machine(configuration) { memory in
    guard let processor = SoftwareCPU(memory: memory) else { throw ProcessorUnavailable() }
    return processor
  }
}
