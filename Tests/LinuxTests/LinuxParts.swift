import Foundation
import Testing

/// A kernel that `fetch` has downloaded.
struct LinuxKernel: Sendable, CustomTestStringConvertible {
  /// Its release, such as `6.1.0-50-cloud-amd64`.
  var release: String
  var folder: URL

  var image: URL { folder.appendingPathComponent("vmlinuz") }
  var testDescription: String { release }

  /// The modules that KVM on an Intel processor is made of, in the order in which they are loaded.
  private static let intelModules = ["irqbypass", "kvm", "kvm-intel"]
  /// What it needs besides on a processor of AMD; only kernels for real machines have the first.
  private static let amdModules = ["ccp", "kvm-amd"]

  /// Those that are there, in the order in which they are loaded.
  var modules: [String] { Self.intelModules + Self.amdModules.filter(hasModule) }

  /// Whether its KVM is there for a processor of AMD too, which older downloads lack.
  var hasKVMForAMD: Bool { hasModule("kvm-amd") }

  private func hasModule(_ name: String) -> Bool {
    ["", ".xz"].contains {
      FileManager.default.fileExists(atPath: folder.appendingPathComponent(name + ".ko" + $0).path)
    }
  }

  /// The module as the kernel loads it, decompressed if its package has it compressed.
  func module(_ name: String) throws -> Data {
    let plain = folder.appendingPathComponent(name + ".ko")
    if let data = FileManager.default.contents(atPath: plain.path) { return data }
    return try Tool.output("xz", ["-dc", plain.path + ".xz"])
  }
}

/// What the tests boot: what the script `fetch` beside them has downloaded.
enum LinuxParts {
  static let folder: URL = {
    let named = ProcessInfo.processInfo.environment["TESTUDO_LINUX"] ?? ""
    if !named.isEmpty { return URL(fileURLWithPath: named) }
    return FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".cache/testudo/linux")
  }()

  static let busybox = folder.appendingPathComponent("busybox")

  /// The kernels that are there, the first by name first.
  static let kernels: [LinuxKernel] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.sorted().map { LinuxKernel(release: $0, folder: folder.appendingPathComponent($0)) }
      .filter { FileManager.default.fileExists(atPath: $0.image.path) }
  }()

  static let areThere = !kernels.isEmpty && FileManager.default.fileExists(atPath: busybox.path)

  /// Why tests are skipped without them.
  static let advice = "there is no Linux kernel or busybox in \(folder.path): run Tests/LinuxTests/fetch"
}

/// Why a test cannot go on.
struct Failure: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

extension Optional {
  func unwrapped(_ failure: String) throws -> Wrapped {
    guard let value = self else { throw Failure(failure) }
    return value
  }
}

/// The command, as it was built together with the tests: it lies beside the test bundle.
enum TestudoProgram {
  static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()
  static let file = folder.appendingPathComponent("testudo")
}

/// Programs of the host.
enum Tool {
  /// Whether a program of this name is on the PATH.
  static func isThere(_ name: String) -> Bool {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
      FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
    }
  }

  /// What the program writes to its standard output.
  static func output(_ name: String, _ arguments: [String]) throws -> Data {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [name] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure("\(name) \(arguments.joined(separator: " ")) ended with \(process.terminationStatus)")
    }
    return data
  }
}

/// A folder that exists while `body` runs.
func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("testudo-tests-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder)
}
