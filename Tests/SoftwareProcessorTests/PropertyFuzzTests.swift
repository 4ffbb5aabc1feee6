import GuestMemory
import SoftwareProcessor
import Testing
import X86

/// Random bytes as code: whatever they do, the interpreter does not trap, and counts no more than its budget.
@Suite("Random code")
struct PropertyFuzzTests {
  @Test(
    "Nothing that a guest executes traps the interpreter",
    arguments: [
      BareProcessor.CodeSize.bits16, .bits32, .bits64,
    ])
  func survives(_ codeSize: BareProcessor.CodeSize) throws {
    let processor = try #require(BareProcessor(memorySize: 1 << 20, codeSize))
    var random = PropertyRandom(seed: 0xF0_22ED)
    for _ in 0..<Self.cases {
      let code = (0..<64).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      processor.place(code, at: 0x8000)
      for register in GeneralRegister.allCases {
        // Most registers point somewhere into memory or close to its ends.
        let value = random.value()
        processor.registers[register] = random.next() & 3 == 0 ? value : value & 0xF_FFFF
      }
      processor.rip = 0x8000 + random.next() % 48
      processor.rflags = 2 | random.next() & 0xCD5
      let before = processor.instructions
      _ = processor.run(32)
      #expect(processor.instructions - before <= 32)
    }
  }

  #if DEBUG
    private static let cases = 3_000
  #else
    private static let cases = 100_000
  #endif
}
