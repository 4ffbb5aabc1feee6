import Foundation
import Testing

/// Guests that fail, fault, spin or flood: each ends in a sentence, never in a crash of ours.
@Suite struct OddGuestTests {
  @Test(
    arguments: [
      ("failure", TinyImage.failure, 1, "wrote 7 to the debug-exit port"),
      ("triple-fault", TinyImage.tripleFault, 1, "L1 had a triple fault at RIP 0x10000"),
      ("halt", TinyImage.halt, 1, "L1 halted at RIP 0x10000"),
    ] as [(String, Data, Int32, String)])
  func endIsASentence(_ name: String, _ image: Data, _ status: Int32, _ sentence: String) throws {
    let result = try run(image, "--limit-instructions", "1000000")
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains(sentence), "\(result.errors)")
    #expect(result.output.contains("guest instructions"))
  }

  @Test func garbageEndsInASentence() throws {
    let result = try run(TinyImage.garbage, "--limit-instructions", "1000000")
    #expect([1, 124].contains(result.status), "\(result.errors)")
    #expect(result.errorLines.count == 1)
  }

  @Test func imageOfOnesOwnCanSucceed() throws {
    let result = try run(TinyImage.success)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    #expect(result.output.contains("the guest reported success"))
  }

  @Test func instructionLimitIsExact() throws {
    let result = try run(TinyImage.spin, "--limit-instructions", "12345", "--json")
    #expect(result.status == 124)
    #expect(result.errors.contains("12345"))
    #expect(try result.json()["instructions"] as? Int == 12345)
  }

  @Test func timeoutEndsASpinningGuest() throws {
    let start = Date()
    let result = try run(TinyImage.spin, "--timeout", "0.3", "--json")
    #expect(result.status == 124)
    #expect(result.errors.contains("time limit"))
    #expect(Date().timeIntervalSince(start) >= 0.3)
    let instructions = try #require(try result.json()["instructions"] as? Int)
    #expect(instructions > 1000)
  }

  @Test(arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func signalEndsASpinningGuestWithItsCounts(_ signal: Int32, _ status: Int32) throws {
    let result = try run(TinyImage.spin, "--json") { process in
      Thread.sleep(forTimeInterval: 1)
      kill(process.processIdentifier, signal)
    }
    #expect(result.status == status)
    #expect(result.errors.contains("interrupted"))
    let instructions = try #require(try result.json()["instructions"] as? Int)
    #expect(instructions > 1000)
  }

  /// A guest that never stops writing costs no memory, and the report keeps only the beginning.
  @Test func floodOfSerialOutputIsBounded() throws {
    let result = try run(TinyImage.chatter, "--limit-instructions", "400000", "--json")
    #expect(result.status == 124)
    let json = try result.json()
    let count = try #require(json["serialBytes"] as? Int)
    #expect(count > 65536)
    #expect((json["serial"] as? String)?.count == 65536)
    #expect(result.errors.hasPrefix(String(repeating: "x", count: 65536)))
  }

  private func run(
    _ image: Data, _ options: String..., whileRunning: (Process) throws -> Void = { _ in }
  ) throws -> CommandResult {
    try TemporaryFolder.with { folder in
      try image.write(to: folder.appendingPathComponent("guest.elf"))
      return try Command.run(["run", "guest.elf"] + options, in: folder, whileRunning: whileRunning)
    }
  }
}
