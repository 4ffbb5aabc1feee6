import Foundation
import Testing

/// What one run of the built command left behind.
struct CommandResult {
  var status: Int32
  var output: String
  var errors: String

  var errorLines: [Substring] { errors.split(separator: "\n") }

  /// Standard output as a JSON object.
  func json() throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
    return try #require(value as? [String: Any])
  }
}

/// The built `testudo`, run as a user runs it.
enum Command {
  static let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent()

  /// It lies beside the test bundle.
  static let path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()
    .appendingPathComponent("testudo").path

  /// No command of these tests takes nearly as long, in a debug build on a busy machine either.
  private static let patience = 300.0

  /// Runs `testudo` in `directory` to its end, with `input` as its standard input. `whileRunning` gets its process as soon
  /// as it runs.
  static func run(
    _ arguments: [String], in directory: URL? = nil, input: FileHandle = .nullDevice,
    whileRunning: (Process) throws -> Void = { _ in }
  ) throws -> CommandResult {
    try launch(path, arguments, in: directory, input: input, whileRunning: whileRunning)
  }

  /// Runs a line of shell, in which `"$0"` is `testudo`.
  static func shell(_ line: String, in directory: URL? = nil) throws -> CommandResult {
    try launch("/bin/sh", ["-c", line, path], in: directory)
  }

  private static func launch(
    _ program: String, _ arguments: [String], in directory: URL?, input: FileHandle = .nullDevice,
    whileRunning: (Process) throws -> Void = { _ in }
  ) throws -> CommandResult {
    try TemporaryFolder.with { folder in
      let process = Process()
      process.executableURL = URL(fileURLWithPath: program)
      process.arguments = arguments
      process.currentDirectoryURL = directory ?? folder
      let files = try ["output", "errors"].map { name in
        let url = folder.appendingPathComponent("." + name)
        try Data().write(to: url)
        return (url, try FileHandle(forWritingTo: url))
      }
      process.standardInput = input
      process.standardOutput = files[0].1
      process.standardError = files[1].1
      try process.run()
      let identifier = process.processIdentifier
      let rescue = DispatchWorkItem { kill(identifier, SIGKILL) }
      DispatchQueue.global().asyncAfter(deadline: .now() + patience, execute: rescue)
      defer { rescue.cancel() }
      try whileRunning(process)
      process.waitUntilExit()
      let texts = try files.map { String(decoding: try Data(contentsOf: $0.0), as: UTF8.self) }
      return CommandResult(status: process.terminationStatus, output: texts[0], errors: texts[1])
    }
  }

  static func run(_ arguments: String...) throws -> CommandResult { try run(arguments) }
}

/// A folder that exists while a test runs.
enum TemporaryFolder {
  static func with<Result>(_ body: (URL) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("testudo-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder)
  }
}
