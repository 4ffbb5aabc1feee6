import SoftwareProcessor
import Testing
import X86

/// What the host's CPU cannot be asked in 64-bit mode.
@Suite("16-bit and 32-bit code")
struct LegacyModeTests {
  private func run(
    _ code: [UInt8], _ size: BareProcessor.CodeSize = .bits32, count: Int64 = 1,
    _ prepare: (BareProcessor) -> Void = { _ in }
  ) throws -> BareProcessor {
    let processor = try BareProcessor.running(code, size)
    prepare(processor)
    #expect(processor.run(count) == .ran)
    return processor
  }

  /// SDM volume 2, "DAA—Decimal Adjust AL after Addition" and "DAS…", their examples.
  @Test("DAA and DAS adjust as in the SDM's examples")
  func decimalAdjust() throws {
    // add al, bl; daa with AL = 79H, BL = 35H: 14H, CF and AF set.
    let sum = try run([0x00, 0xD8, 0x27], count: 2) {
      $0.registers[.rax] = 0x79
      $0.registers[.rbx] = 0x35
    }
    #expect(sum.registers[.rax] == 0x14)
    #expect(sum.rflags & 0x11 == 0x11)
    // sub al, bl; das with AL = 35H, BL = 47H: 88H, CF and AF set.
    let difference = try run([0x28, 0xD8, 0x2F], count: 2) {
      $0.registers[.rax] = 0x35
      $0.registers[.rbx] = 0x47
    }
    #expect(difference.registers[.rax] == 0x88)
    #expect(difference.rflags & 0x11 == 0x11)
  }

  @Test(
    "AAA, AAS, AAM and AAD carry into and out of AH",
    arguments: [
      ([0x37], 0x010F, 0x0205), ([0x3F], 0x020F, 0x0109), ([0xD4, 10], 63, 0x0603), ([0xD5, 10], 0x0603, 63),
    ] as [([UInt8], UInt64, UInt64)])
  func asciiAdjust(code: [UInt8], before: UInt64, after: UInt64) throws {
    let processor = try run(code) { $0.registers[.rax] = before }
    #expect(processor.registers[.rax] == after)
  }

  @Test("AAM by zero raises #DE")
  func adjustByZero() throws {
    let processor = try BareProcessor.running([0xD4, 0], .bits32)
    #expect(processor.run(1) == .exception(.divideError))
  }

  /// It is on no page of the SDM: AL is FFH or 0, by CF, and no flag changes.
  @Test("SALC sets AL from CF, outside 64-bit mode")
  func setFromCarry() throws {
    for (code, expected) in [([0xF8, 0xD6] as [UInt8], UInt64(0x1234_5600)), ([0xF9, 0xD6], 0x1234_56FF)] {
      let processor = try run(code, count: 2) { $0.registers[.rax] = 0x1234_5678 }
      #expect(processor.registers[.rax] == expected)
      #expect(processor.rflags & 1 == expected & 1)
    }
    #expect(try BareProcessor.running([0xD6], .bits64).run(1) == .exception(.invalidOpcode))
  }

  @Test("PUSHA stores the old ESP, and POPA skips it")
  func pushAll() throws {
    let processor = try run([0x60, 0x61], count: 1) {
      for (index, register) in GeneralRegister.allCases.prefix(8).enumerated() where register != .rsp {
        $0.registers[register] = UInt64(index) + 1
      }
    }
    #expect(processor.registers[.rsp] == 0xF000 - 32)
    #expect(processor.word(0xF000 - 4) & 0xFFFF_FFFF == 1)
    #expect(processor.word(0xF000 - 20) & 0xFFFF_FFFF == 0xF000)
    processor.registers[.rdi] = 99
    #expect(processor.run(1) == .ran)
    #expect(processor.registers[.rdi] == 8)
    #expect(processor.registers[.rsp] == 0xF000)
  }

  @Test("A 16-bit stack pointer wraps inside its segment and leaves the upper half of ESP")
  func sixteenBitStack() throws {
    let processor = try run([0x50], .bits16) {
      $0.registers[.rsp] = 0x1_0002
      $0.registers[.rax] = 0xABCD
    }
    #expect(processor.registers[.rsp] == 0x1_0000)
    #expect(processor.word(0) & 0xFFFF == 0xABCD)
    let wrapped = try BareProcessor.running([0x66, 0x50], .bits16)
    // Four bytes at FFFEH reach beyond the limit: #SS, and ESP stays.
    wrapped.registers[.rsp] = 0x2
    #expect(wrapped.run(1) == .exception(.stackSegmentFault))
    #expect(wrapped.registers[.rsp] == 0x2)
  }

  @Test("A 16-bit branch wraps in 64 KByte; one beyond CS's limit faults at the branch")
  func branchLimits() throws {
    // jmp rel16 backwards beyond zero
    let wrapped = try run([0xE9, 0x00, 0xE0], .bits16)
    #expect(wrapped.rip == 0xF003)
    // 66 jmp rel32 to 11006H
    let beyond = try BareProcessor.running([0x66, 0xE9, 0x00, 0x00, 0x01, 0x00], .bits16)
    #expect(beyond.run(1) == .exception(.generalProtection))
    #expect(beyond.rip == 0x1000)
    #expect(beyond.errorCode == 0)
  }

  @Test("An instruction that reaches beyond CS's limit faults when it is fetched")
  func fetchLimit() throws {
    let processor = try #require(BareProcessor(memorySize: 1 << 20, .bits16))
    // inc ax; mov ax, imm16 whose last byte is beyond FFFFH
    processor.place([0x40, 0xB8, 0x34], at: 0xFFFD)
    processor.rip = 0xFFFD
    #expect(processor.run(2) == .exception(.generalProtection))
    #expect(processor.rip == 0xFFFE)
    #expect(processor.instructions == 1)
  }

  @Test("LOOP and JCXZ count in CX or ECX by the address size")
  func counters() throws {
    // loop +0x10 with CX = 1 but ECX = 10001H
    #expect(try run([0xE2, 0x10], .bits16) { $0.registers[.rcx] = 0x1_0001 }.rip == 0x1002)
    #expect(try run([0x67, 0xE2, 0x10], .bits16) { $0.registers[.rcx] = 0x1_0001 }.rip == 0x1013)
    #expect(try run([0xE3, 0x10], .bits16) { $0.registers[.rcx] = 0x1_0000 }.rip == 0x1012)
    #expect(try run([0xE3, 0x10], .bits32) { $0.registers[.rcx] = 0x1_0000 }.rip == 0x1002)
  }

  @Test("ENTER copies the frame pointers of the outer levels")
  func enter() throws {
    // enter 16, 2 with one outer frame pointer at EBP - 4
    let processor = try run([0xC8, 16, 0, 2]) {
      $0.registers[.rbp] = 0xE000
      $0.place([0x11, 0x22, 0x33, 0x44], at: 0xDFFC)
    }
    #expect(processor.registers[.rbp] == 0xEFFC)
    #expect(processor.registers[.rsp] == 0xEFFC - 8 - 16)
    #expect(processor.word(0xEFFC) & 0xFFFF_FFFF == 0xE000)
    #expect(processor.word(0xEFF8) & 0xFFFF_FFFF == 0x4433_2211)
    #expect(processor.word(0xEFF4) & 0xFFFF_FFFF == 0xEFFC)
  }

  @Test("BOUND raises #BR outside the bounds only")
  func bound() throws {
    // bound eax, [ebx]
    for (index, inside) in [(5, true), (10, true), (11, false), (-1, false)] as [(Int32, Bool)] {
      let processor = try BareProcessor.running([0x62, 0x03], .bits32)
      processor.place([0, 0, 0, 0, 10, 0, 0, 0], at: 0x3000)
      processor.registers[.rbx] = 0x3000
      processor.registers[.rax] = UInt64(UInt32(bitPattern: index))
      #expect(processor.run(1) == (inside ? .ran : .exception(.boundRangeExceeded)))
    }
  }

  @Test("16-bit addressing wraps at 64 KByte")
  func sixteenBitAddress() throws {
    // mov al, [bx + si]
    let processor = try run([0x8A, 0x00], .bits16) {
      $0.registers[.rbx] = 0xFFFF
      $0.registers[.rsi] = 0x2001
      $0.place([0x5A], at: 0x2000)
    }
    #expect(processor.registers[.rax] == 0x5A)
  }
}
