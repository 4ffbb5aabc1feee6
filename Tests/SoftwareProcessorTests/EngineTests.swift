import SoftwareProcessor
import Testing
import X86

@Suite("The interpreter's blocks")
struct EngineTests {
  /// mov ecx, 5; dec ecx; jnz -4; inc rax; jmp -3
  static let loop: [UInt8] = [
    0xB9, 5, 0, 0, 0, 0xFF, 0xC9, 0x75, 0xFC, 0x48, 0xFF, 0xC0, 0xEB, 0xFB,
  ]

  @Test("A run retires exactly its budget, and where it is cut does not show")
  func budgetIsExact() throws {
    for cut in Int64(0)..<30 {
      let processor = try BareProcessor.running(Self.loop)
      #expect(processor.run(cut) == .ran)
      #expect(processor.instructions == UInt64(cut))
      #expect(processor.run(30 - cut) == .ran)
      #expect(processor.instructions == 30)
      // 1 + 5 × 2 instructions of the loop, then 19 of INC and JMP.
      #expect(processor.registers[.rax] == 10)
      #expect(processor.rip == 0x100C)
    }
  }

  @Test("A store into the running block takes effect on the next instruction")
  func selfModifyingBlock() throws {
    // mov byte [rip + 2], 0x05; add eax, 1 (its immediate becomes 5, before it has ever executed)
    let processor = try BareProcessor.running([0xC6, 0x05, 2, 0, 0, 0, 5, 0x83, 0xC0, 1, 0x90, 0x90])
    #expect(processor.run(2) == .ran)
    #expect(processor.registers[.rax] == 5)
    #expect(processor.instructions == 2)
  }

  @Test("Code that was written after it ran is decoded again")
  func modifiedCode() throws {
    // add eax, 1; mov [rbx], cl; jmp -7
    let processor = try BareProcessor.running([0x83, 0xC0, 1, 0x88, 0x0B, 0xEB, 0xF9])
    processor.registers[.rbx] = 0x1002
    processor.registers[.rcx] = 7
    #expect(processor.run(4) == .ran)
    #expect(processor.registers[.rax] == 8)
    processor.place([2], at: 0x1002)
    processor.registers[.rbx] = 0x8000
    #expect(processor.run(5) == .ran)
    #expect(processor.registers[.rax] == 10)
  }

  @Test("An instruction may cross a page, and either page may be written")
  func pageCrossingInstruction() throws {
    let processor = try BareProcessor.running([])
    // mov eax, imm32 with two of its bytes on the next page; jmp back to it.
    processor.place([0xB8, 0x11, 0x22, 0x33, 0x44, 0xEB, 0xF9], at: 0x1FFD)
    processor.rip = 0x1FFD
    #expect(processor.run(3) == .ran)
    #expect(processor.registers[.rax] == 0x4433_2211)
    processor.place([0x55], at: 0x2000)
    #expect(processor.run(3) == .ran)
    #expect(processor.registers[.rax] == 0x4455_2211)
    processor.place([0x66], at: 0x1FFE)
    #expect(processor.run(3) == .ran)
    #expect(processor.registers[.rax] == 0x4455_2266)
  }

  @Test("A fault in the middle of a block leaves everything before it done and nothing of it")
  func preciseFault() throws {
    // inc rax; push rbx; div ecx (by zero)
    let processor = try BareProcessor.running([0x48, 0xFF, 0xC0, 0x53, 0xF7, 0xF1, 0x48, 0xFF, 0xC0])
    #expect(processor.run(100) == .exception(.divideError))
    #expect(processor.rip == 0x1004)
    #expect(processor.registers[.rax] == 1)
    #expect(processor.registers[.rsp] == 0xEFF8)
    #expect(processor.instructions == 2)
  }

  @Test("A non-canonical address raises #SS through the stack and #GP elsewhere")
  func nonCanonical() throws {
    // mov eax, [rbx]; mov eax, [rbp]
    let processor = try BareProcessor.running([0x8B, 0x03, 0x8B, 0x45, 0x00])
    processor.registers[.rbx] = 1 << 47
    #expect(processor.run(1) == .exception(.generalProtection))
    processor.registers[.rbx] = 0x1000
    processor.registers[.rbp] = 0x7FFF_FFFF_FFFE
    #expect(processor.run(2) == .exception(.stackSegmentFault))
    #expect(processor.instructions == 1)
  }

  @Test("A repeated string instruction goes on after a fault where it stopped")
  func repeatedString() throws {
    // rep movsb
    let processor = try BareProcessor.running([0xF3, 0xA4])
    processor.registers[.rsi] = 0x2000
    processor.registers[.rdi] = 0x7FFF_FFFF_F800
    processor.registers[.rcx] = 0x1000
    #expect(processor.run(10) == .exception(.generalProtection))
    #expect(processor.registers[.rcx] == 0x800)
    #expect(processor.registers[.rsi] == 0x2800)
    #expect(processor.rip == 0x1000)
    #expect(processor.instructions == 0)
  }

  @Test("An undefined opcode behind a block's last good instruction faults only when it is reached")
  func undefinedOpcode() throws {
    let processor = try BareProcessor.running([0x48, 0xFF, 0xC0, 0x0F, 0x0B])
    #expect(processor.run(1) == .ran)
    #expect(processor.run(1) == .exception(.invalidOpcode))
    #expect(processor.rip == 0x1003)
    processor.place([0xD6], at: 0x1003)
    #expect(processor.run(1) == .exception(.invalidOpcode))
    #expect(processor.instructions == 1)
  }

  /// Every width, with the source below, above and far from the destination, over pages and over a page of code.
  @Test("Strings moved in runs end as element by element", arguments: [0xA4, 0xA5, 0xAA, 0xAB] as [UInt8])
  func stringRuns(opcode: UInt8) throws {
    for wide in [[], [0x48], [0x66]] as [[UInt8]] {
      for (source, destination) in [(0x2000, 0x2003), (0x2003, 0x2000), (0x5FFD, 0xA001), (0x7000, 0x0F00)] {
        let prefix = wide == [0x66] ? [0x66, 0xF3] : [0xF3] + wide
        let runs = try BareProcessor.running(prefix + [opcode])
        // The same without REP, in a loop: movs; dec rcx; jnz.
        let single = wide + [opcode]
        let loop = single + [0x48, 0xFF, 0xC9, 0x75, UInt8(truncatingIfNeeded: -5 - single.count)]
        let elements = try BareProcessor.running(loop)
        for processor in [runs, elements] {
          for address in stride(from: UInt64(0x2000), to: 0x10000, by: 8) {
            processor.memory.store(address &* 0x9E37_79B9_7F4A_7C15, at: PhysicalAddress<L0>(address))
          }
          processor.registers[.rsi] = UInt64(source)
          processor.registers[.rdi] = UInt64(destination)
          processor.registers[.rcx] = 300
          processor.registers[.rax] = 0x0123_4567_89AB_CDEF
        }
        // The destination 0F00 reaches the code: far enough before it to leave it alone.
        if destination == 0x0F00 {
          runs.registers[.rcx] = 0x20
          elements.registers[.rcx] = 0x20
        }
        #expect(runs.run(1) == .ran)
        #expect(runs.rip == 0x1000 + UInt64(prefix.count) + 1)
        #expect(elements.run(Int64(elements.registers[.rcx] * 3)) == .ran)
        #expect(runs.registers[.rdi] == elements.registers[.rdi])
        #expect(runs.registers[.rsi] == elements.registers[.rsi])
        let left = UnsafeRawBufferPointer(start: runs.memory.base + 0x2000, count: 0xE000)
        let right = UnsafeRawBufferPointer(start: elements.memory.base + 0x2000, count: 0xE000)
        #expect(left.elementsEqual(right))
      }
    }
  }

  @Test("A repeated string instruction retires once per 4096 elements, wherever the run is cut")
  func repeatedStringRetires() throws {
    // rep stosb; nop
    for portions in [[4], [1, 1, 1, 1], [2, 2], [3, 1]] as [[Int64]] {
      let processor = try BareProcessor.running([0xF3, 0xAA, 0x90])
      processor.registers[.rdi] = 0x2345
      processor.registers[.rcx] = 10_000
      for portion in portions { #expect(processor.run(portion) == .ran) }
      #expect(processor.instructions == 4)
      #expect(processor.rip == 0x1003)
      #expect(processor.registers[.rdi] == 0x2345 + 10_000)
    }
  }
}
