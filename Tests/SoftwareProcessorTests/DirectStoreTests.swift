import GuestMemory
import SoftwareProcessor
import Testing
import X86

/// What the newest processor model has that others lack.
@Suite struct DirectStoreTests {
  @Test func serializeDoesNothingElse() throws {
    let processor = try BareProcessor.running([0x0F, 0x01, 0xE8, 0x48, 0xFF, 0xC0])  // serialize; inc rax
    #expect(processor.run(2) == .ran)
    #expect(processor.registers[.rax] == 1)
  }

  @Test func directStoreOfARegister() throws {
    // movdiri [rbx], eax; movdiri [rbx + 8], rax
    let processor = try BareProcessor.running([
      0x0F, 0x38, 0xF9, 0x03, 0x48, 0x0F, 0x38, 0xF9, 0x43, 0x08,
    ])
    processor.registers[.rax] = 0x1122_3344_5566_7788
    processor.registers[.rbx] = 0x3001
    #expect(processor.run(2) == .ran)
    #expect(processor.word(0x3001) == 0x5566_7788)
    #expect(processor.word(0x3009) == 0x1122_3344_5566_7788)
  }

  @Test func directStoreOf64Bytes() throws {
    let processor = try BareProcessor.running([0x66, 0x0F, 0x38, 0xF8, 0x03])  // movdir64b rax, [rbx]
    processor.place((0..<64).map { UInt8($0) }, at: 0x2FE1)
    processor.registers[.rbx] = 0x2FE1
    processor.registers[.rax] = 0x4FC0
    #expect(processor.run(1) == .ran)
    for index in UInt64(0)..<8 {
      #expect(processor.word(0x4FC0 + index * 8) == 0x0706_0504_0302_0100 + index * 0x0808_0808_0808_0808)
    }
    #expect(processor.word(0x5000) == 0)
  }

  @Test(arguments: [0x4FC1, 0x4FE0, 1 << 47] as [UInt64])
  func destinationMustBeAlignedAndCanonical(_ destination: UInt64) throws {
    let processor = try BareProcessor.running([0x66, 0x0F, 0x38, 0xF8, 0x03])
    processor.registers[.rbx] = 0x3000
    processor.registers[.rax] = destination
    #expect(processor.run(1) == .exception(.generalProtection))
    #expect(processor.rip == 0x1000)
  }
}
