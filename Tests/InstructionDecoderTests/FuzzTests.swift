import InstructionDecoder
import Testing

/// Any bytes at all: a result or a failure, never a trap, and a length within what was given.
@Suite struct FuzzTests {
  @Test(arguments: DecodeMode.allCases)
  func neverTraps(_ mode: DecodeMode) {
    var random = RandomBits(seed: 0xF022 + UInt64(mode.rawValue))
    let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: 24)
    defer { buffer.deallocate() }
    var counts = Counts()
    for _ in 0..<250_000 {
      for word in 0..<3 {
        UnsafeMutableRawPointer(buffer).storeBytes(of: random.next(), toByteOffset: word * 8, as: UInt64.self)
      }
      // Every other case starts with an escape, where fewer opcodes are defined.
      if random.next() & 1 == 0 { buffer[0] = 0x0F }
      counts.add(buffer, count: Int(random.next() % 17), mode)
    }
    #expect(counts.wrong == 0)
    #expect(counts.decoded > 100_000)
    #expect(counts.truncated > 10_000)
  }

  @Test(arguments: DecodeMode.allCases)
  func everyLengthBelowTheWholeIsTruncated(_ mode: DecodeMode) {
    var random = RandomBits(seed: 0x7277 + UInt64(mode.rawValue))
    var seen = 0
    for _ in 0..<20_000 {
      let code = (0..<15).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      guard let whole = try? decode(code, mode) else { continue }
      seen += 1
      for count in 0..<Int(whole.length) {
        #expect(failure(hex(code.prefix(count)), mode) == .truncated, "\(hex(code)) cut to \(count)")
      }
    }
    #expect(seen > 5_000)
  }

  private struct Counts {
    var decoded = 0
    var truncated = 0
    var wrong = 0

    mutating func add(_ bytes: UnsafePointer<UInt8>, count: Int, _ mode: DecodeMode) {
      do throws(DecodeFailure) {
        let instruction = try Instruction.decode(bytes, count: count, mode: mode)
        decoded += 1
        let isPossible =
          instruction.mnemonic != .invalid && instruction.length >= 1 && instruction.length <= min(count, 15)
          && instruction.operandCount <= 4 && [1, 2, 4, 8].contains(instruction.operandSize)
          && [2, 4, 8].contains(instruction.addressSize)
        if !isPossible { wrong += 1 }
      } catch {
        if error == .truncated { truncated += 1 }
        if error == .truncated && count >= 15 || error == .tooLong && count < 15 { wrong += 1 }
      }
    }
  }
}
