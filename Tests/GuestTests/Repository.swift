import Foundation

/// Where the guests are, and how their tools are run.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  static let guests = root.appendingPathComponent("Guests")
  static let images = guests.appendingPathComponent("Images")

  /// The names of the committed images.
  static let imageNames = ["minimal.elf", "minimal-broken.elf", "carrier.elf"]

  static func image(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: images.appendingPathComponent(name)))
  }
}

/// What a command wrote, both streams in one, and its status.
struct CommandResult {
  var output: String
  var status: Int32

  /// Runs `arguments`, the first of them found on PATH.
  init(_ arguments: [String], in directory: URL? = nil) throws {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.currentDirectoryURL = directory
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    status = process.terminationStatus
  }
}

/// The toolchain that Guests/build would use.
enum Toolchain {
  /// Another version may give other bytes.
  static let pinnedVersion = "6.3.1"

  /// The directory of its tools, or nil if there is none.
  static let tools: URL? = {
    if let root = ProcessInfo.processInfo.environment["SWIFT_TOOLCHAIN"], !root.isEmpty {
      return URL(fileURLWithPath: root).appendingPathComponent("usr/bin")
    }
    guard let information = try? CommandResult(["swiftc", "-print-target-info"]), information.status == 0,
      let object = try? JSONSerialization.jsonObject(with: Data(information.output.utf8)) as? [String: Any],
      let paths = object["paths"] as? [String: Any], let resources = paths["runtimeResourcePath"] as? String
    else { return nil }
    return URL(fileURLWithPath: resources).appendingPathComponent("../../bin").standardizedFileURL
  }()

  static func has(_ tool: String) -> Bool {
    guard let tools else { return false }
    return FileManager.default.isExecutableFile(atPath: tools.appendingPathComponent(tool).path)
  }

  /// Whether it can build guests at all.
  static let canBuildGuests = ["swiftc", "clang", "ld.lld", "llvm-objcopy"].allSatisfy(has)

  /// Whether it can, and is the version that the committed images were built with.
  static let canRebuildImages: Bool = {
    guard canBuildGuests, let swiftc = tools?.appendingPathComponent("swiftc").path,
      let version = try? CommandResult([swiftc, "--version"])
    else { return false }
    return version.output.contains("Swift version \(pinnedVersion) (swift-\(pinnedVersion)-RELEASE)")
  }()
}
