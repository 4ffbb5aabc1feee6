import Foundation
import Testing

/// The progress line of long runs.
@Suite struct ProgressTests {
  private static let script = "/usr/bin/script"
  /// A run that computes until its time is over, after more than the two seconds for which there is no line.
  private static let arguments = [
    "run", "minimal", "--workload", "none", "--iterations", "1000000000000", "--timeout", "3",
  ]

  @Test(
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: script), "there is no \(script) to make a terminal"))
  func aTerminalShowsHowFarTheRunIs() throws {
    try TemporaryFolder.with { folder in
      let command = ([Command.path] + Self.arguments).map { "'\($0)'" }.joined(separator: " ")
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Self.script)
      process.arguments = ["-qec", command, folder.appendingPathComponent("typed").path]
      process.standardInput = FileHandle.nullDevice
      let output = Pipe()
      process.standardOutput = output
      try process.run()
      let data = output.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      #expect(process.terminationStatus == 124)
      let text = String(decoding: data, as: UTF8.self)
      #expect(text.contains("\r\u{1B}[K"))
      #expect(text.contains("MIPS"))
      // The line is erased before the table comes.
      let last = try #require(text.range(of: " s\r\u{1B}[K", options: .backwards))
      #expect(text[last.upperBound...].contains("multiplication"))
      #expect(!text[last.upperBound...].contains("MIPS"))
    }
  }

  @Test func whatIsPipedHasNone() throws {
    try TemporaryFolder.with { folder in
      let result = try Command.run(Self.arguments, in: folder)
      #expect(result.status == 124)
      #expect(!result.errors.contains("MIPS"))
      #expect(result.errorLines.count == 1)
    }
  }
}
