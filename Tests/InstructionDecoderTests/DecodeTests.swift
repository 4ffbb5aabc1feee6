import InstructionDecoder
import Testing
import X86

/// Single encodings, whose meaning the SDM's volume 2 gives.
@Suite struct DecodeTests {
  @Test func registersAndSizes() throws {
    let add = try decode("48 01 D8")
    #expect(add.mnemonic == .add && add.length == 3 && add.operandSize == 8 && add.operandCount == 2)
    #expect(add.operand0 == Operand(.general, size: 8, register: 0))
    #expect(add.operand1 == Operand(.general, size: 8, register: 3))
    #expect(try decode("01 D8").operandSize == 4)
    #expect(try decode("66 01 D8").operandSize == 2)
    #expect(try decode("01 D8", .protected32).operandSize == 4)
    #expect(try decode("01 D8", .protected16).operandSize == 2)
    #expect(try decode("66 01 D8", .real16).operandSize == 4)
    #expect(try decode("00 D8").operandSize == 1)
    // REX.W beats 66H.
    #expect(try decode("66 48 01 D8").operandSize == 8)
    #expect(try decode("4D 01 D8").operand0.register == 8)
    #expect(try decode("4D 01 D8").operand1.register == 11)
  }

  @Test func rexMustBeLast() throws {
    let ignored = try decode("48 66 01 D8")
    #expect(ignored.operandSize == 2 && ignored.length == 4 && !ignored.prefixes.contains(.rex))
    #expect(try decode("48 41 01 D8").operandSize == 4)
    #expect(try decode("48 41 01 D8").operand0.register == 8)
  }

  @Test func highByteRegistersEndWithREX() throws {
    #expect(try decode("88 E0").operand1 == Operand(.highByte, size: 1, register: 0))
    #expect(try decode("40 88 E0").operand1 == Operand(.general, size: 1, register: 4))
    #expect(try decode("B7 12").operand0 == Operand(.highByte, size: 1, register: 3))
    #expect(try decode("41 B7 12").operand0 == Operand(.general, size: 1, register: 15))
    #expect(try decode("0F B6 C4").operand1 == Operand(.highByte, size: 1, register: 0))
  }

  @Test func immediatesAreExtendedAsTheInstructionUsesThem() throws {
    #expect(try decode("48 05 F0 FF FF FF").immediate == 0xFFFF_FFFF_FFFF_FFF0)
    #expect(try decode("83 C0 F0").immediate == 0xFFFF_FFFF_FFFF_FFF0)
    #expect(try decode("04 F0").immediate == 0xF0)
    #expect(try decode("48 B8 88 77 66 55 44 33 22 11").immediate == 0x1122_3344_5566_7788)
    #expect(try decode("66 05 F0 FF").length == 4)
    #expect(try decode("C2 F0 FF").immediate == 0xFFF0)
    #expect(try decode("6A FF").immediate == .max)
    #expect(try decode("CD 80").immediate == 0x80)
    #expect(try decode("D1 E0").immediate == 1)
    let enter = try decode("C8 34 12 07")
    #expect(enter.immediate == 0x1234 && enter.immediate2 == 7 && enter.operandSize == 8)
  }

  @Test func addressesWithSIB() throws {
    // [rax+rcx*4-16]
    let address = try decode("8B 44 88 F0").address
    #expect(address.base == 0 && address.index == 1 && address.scale == 4 && address.displacement == -16)
    #expect(address.segment == .ds)
    // [r12] and [rsp]: base 4 in the SIB byte.
    #expect(try decode("41 8B 04 24").address.base == 12)
    #expect(try decode("41 8B 04 24").address.segment == .ds)
    #expect(try decode("8B 04 24").address.segment == .ss)
    #expect(try decode("8B 04 24").address.index == MemoryAddress.none)
    // [r12*1] as index needs REX.X.
    #expect(try decode("42 8B 04 20").address.index == 12)
    // Base 5 with mod 0 is a displacement, with REX.B as well.
    let direct = try decode("41 8B 04 25 10 00 00 80")
    #expect(direct.address.base == MemoryAddress.none && direct.address.displacement == -0x7FFF_FFF0)
    // [r13+0] and [rbp+0] need a displacement.
    #expect(try decode("41 8B 45 00").address.base == 13)
    #expect(try decode("41 8B 45 00").address.segment == .ds)
    #expect(try decode("8B 45 00").address.segment == .ss)
    #expect(try decode("3E 8B 45 00", .protected32).address.segment == .ds)
  }

  @Test func addressesRelativeToRIP() throws {
    let address = try decode("8B 05 10 00 00 00").address
    #expect(address.base == MemoryAddress.instructionPointer && address.displacement == 16)
    #expect(try decode("8B 05 10 00 00 00", .protected32).address.base == MemoryAddress.none)
    #expect(try decode("67 8B 05 10 00 00 00").addressSize == 4)
  }

  @Test(arguments: [
    ("8B 00", 3, 6, SegmentRegister.ds, 0), ("8B 01", 3, 7, .ds, 0), ("8B 02", 5, 6, .ss, 0),
    ("8B 43 FE", 5, 7, .ss, -2), ("8B 04", 6, 0xFF, .ds, 0), ("8B 85 00 80", 7, 0xFF, .ds, -0x8000),
    ("8B 06 00 80", 0xFF, 0xFF, .ds, -0x8000), ("8B 46 01", 5, 0xFF, .ss, 1), ("8B 07", 3, 0xFF, .ds, 0),
  ])
  func addressesOf16Bits(
    _ code: String, _ base: UInt8, _ index: UInt8, _ segment: SegmentRegister, _ displacement: Int64
  ) throws {
    for mode in [DecodeMode.real16, .protected16] {
      let instruction = try decode(code, mode)
      #expect(instruction.addressSize == 2)
      #expect(instruction.address.base == base && instruction.address.index == index)
      #expect(instruction.address.segment == segment && instruction.address.displacement == displacement)
    }
  }

  @Test func offsetsInTheInstruction() throws {
    let long = try decode("A1 88 77 66 55 44 33 22 F1")
    #expect(long.length == 9 && long.address.displacement == Int64(bitPattern: 0xF122_3344_5566_7788))
    #expect(try decode("67 A1 88 77 66 F5").address.displacement == 0xF566_7788)
    #expect(try decode("A2 88 F7", .real16).address.displacement == 0xF788)
    #expect(try decode("A2 88 F7", .real16).operand0 == Operand(.memory, size: 1))
  }

  @Test func segmentOverrides() throws {
    #expect(try decode("64 8B 00").address.segment == .fs)
    // 64-bit mode ignores those of CS, DS, ES and SS.
    #expect(try decode("2E 8B 00").address.segment == .ds)
    #expect(!(try decode("2E 8B 00").prefixes.contains(.segmentOverride)))
    #expect(try decode("64 2E 8B 00").address.segment == .fs)
    #expect(try decode("64 2E 8B 00", .protected32).address.segment == .cs)
    #expect(try decode("65 A4").address.segment == .gs)
  }

  @Test func defaultOperandSizeOf64Bits() throws {
    for code in ["50", "5F", "6A 01", "68 00 00 00 00", "FF 30", "8F 00", "9C", "C9", "0F A0", "C3"] {
      #expect(try decode(code).operandSize == 8, "\(code)")
      #expect(try decode(code, .protected32).operandSize == 4, "\(code)")
    }
    #expect(try decode("66 50").operandSize == 2)
    // Near branches have no other size, far ones no such default.
    #expect(try decode("66 E8 00 00 00 00").operandSize == 8)
    #expect(try decode("66 E8 00 00 00 00").length == 6)
    #expect(try decode("FF 10").operand0.size == 8)
    #expect(try decode("CF").operandSize == 4)
    #expect(try decode("48 CF").operandSize == 8)
    #expect(try decode("CB").operandSize == 4)
    #expect(try decode("FF 18").operand0.size == 6)
    #expect(try decode("48 FF 18").operand0.size == 10)
  }

  @Test func branches() throws {
    let jump = try decode("0F 8F F0 FF FF FF")
    #expect(jump.mnemonic == .jcc && jump.condition == 15 && jump.immediate == 0xFFFF_FFFF_FFFF_FFF0)
    #expect(jump.operand0.kind == .relative)
    #expect(try decode("0F 8F F0 FF", .real16).immediate == 0xFFFF_FFFF_FFFF_FFF0)
    #expect(try decode("E3 00").addressSize == 8)
    #expect(try decode("67 E3 00").addressSize == 4)
    let far = try decode("EA 78 56 34 12 BC 9A", .protected32)
    #expect(far.mnemonic == .jmpFar && far.immediate == 0x1234_5678 && far.immediate2 == 0x9ABC)
    #expect(try decode("9A 78 F6 BC 9A", .real16).immediate == 0xF678)
  }

  @Test func mandatoryPrefixes() throws {
    #expect(try decode("F3 0F B8 C1").mnemonic == .popcnt)
    #expect(failure("0F B8 C1") == .invalid)
    #expect(try decode("66 F3 0F BC C1").mnemonic == .tzcnt)
    #expect(try decode("66 F3 0F BC C1").operandSize == 2)
    #expect(try decode("0F BC C1").mnemonic == .bsf)
    #expect(try decode("F2 0F 38 F0 C1").mnemonic == .crc32)
    #expect(try decode("0F 38 F0 01").mnemonic == .movbe)
    #expect(failure("0F 38 F0 C1") == .invalid)
    #expect(try decode("F3 90").mnemonic == .pause)
    #expect(try decode("90").mnemonic == .nop)
    #expect(try decode("41 90").mnemonic == .xchg)
    // The last of the repeat prefixes counts.
    #expect(try decode("F3 F2 A6").prefixes == [.repne])
    #expect(try decode("F2 F3 A6").prefixes == [.rep])
  }

  @Test func lockNeedsAMemoryDestination() throws {
    #expect(try decode("F0 01 00").prefixes == [.lock])
    #expect(try decode("F0 48 0F C7 08").mnemonic == .cmpxchg16b)
    for code in ["F0 01 C0", "F0 39 00", "F0 8B 00", "F0 03 00", "F0 90", "F0 0F A3 00", "F0 FF 10"] {
      #expect(failure(code) == .invalid, "\(code)")
    }
  }

  @Test func validInSomeModesOnly() throws {
    for code in ["06", "27", "60", "9A 00 00 00 00 00 00", "CE", "D4 0A", "82 C0 01", "62 00"] {
      #expect(failure(code) == .invalid, "\(code)")
      #expect(failure(code, .protected32) == nil, "\(code)")
    }
    for code in ["0F 05", "0F 07", "0F 01 F8", "F3 0F AE C0"] {
      #expect(failure(code) == nil, "\(code)")
      #expect(failure(code, .protected32) == .invalid, "\(code)")
    }
    #expect(try decode("63 C1").mnemonic == .movsxd)
    #expect(try decode("63 C1", .protected32).mnemonic == .arpl)
    #expect(try decode("40", .protected32).mnemonic == .inc)
    #expect(try decode("C4 00", .protected32).mnemonic == .les)
    #expect(failure("62 C0", .protected32) == .invalid)
  }

  @Test func vex() throws {
    let andn = try decode("C4 E2 E8 F2 C1")
    #expect(andn.mnemonic == .andn && andn.operandSize == 8 && andn.operandCount == 3)
    #expect(andn.operand1.register == 2 && andn.operand2.register == 1)
    #expect(try decode("C4 C2 E8 F2 C1").operand2.register == 9)
    #expect(try decode("C4 E3 7B F0 C1 05").mnemonic == .rorx)
    #expect(failure("C4 E3 73 F0 C1 05") == .invalid, "VEX.vvvv must be 1111B")
    #expect(failure("C4 E2 EC F2 C1") == .invalid, "VEX.L must be 0")
    #expect(failure("66 C4 E2 E8 F2 C1") == .invalid)
    #expect(failure("48 C4 E2 E8 F2 C1") == .invalid)
    #expect(failure("C4 E2 E8 F2 C1", .real16) == .invalid)
    #expect(try decode("C4 E2 E8 F2 C1", .protected32).operandSize == 4)
  }

  @Test func controlDebugAndSegmentRegisters() throws {
    let move = try decode("44 0F 20 C0")
    #expect(move.mnemonic == .movFromControl && move.operand1 == Operand(.control, size: 8, register: 8))
    // The mod field is ignored.
    #expect(try decode("0F 22 18").operand1 == Operand(.general, size: 8, register: 0))
    #expect(try decode("0F 22 18").length == 3)
    #expect(try decode("0F 22 D8", .real16).operand1.size == 4)
    for code in ["0F 20 C8", "0F 22 E8", "44 0F 20 C8", "44 0F 21 C0", "8E C8", "8E F0", "8C F8"] {
      #expect(failure(code) == .invalid, "\(code)")
    }
    #expect(try decode("8C C8").operand0.size == 4)
    #expect(try decode("8C 08").operand0.size == 2)
  }

  @Test(arguments: [
    ("0F 01 C1", Mnemonic.vmcall), ("0F 01 C2", .vmlaunch), ("0F 01 C3", .vmresume), ("0F 01 C4", .vmxoff),
    ("F3 0F C7 30", .vmxon), ("66 0F C7 30", .vmclear), ("0F C7 30", .vmptrld), ("0F C7 38", .vmptrst),
    ("0F 78 C1", .vmread), ("0F 79 C1", .vmwrite), ("66 0F 38 80 00", .invept), ("66 0F 38 81 00", .invvpid),
    ("66 0F 38 82 00", .invpcid), ("0F 01 D4", .vmfunc), ("0F C7 F0", .rdrand), ("0F C7 F8", .rdseed),
    ("0F 01 C8", .monitor), ("0F 01 CA", .clac), ("0F 01 D0", .xgetbv), ("0F 01 F9", .rdtscp),
    ("0F AE E8", .lfence), ("0F AE 38", .clflush), ("66 0F AE 38", .clflushopt), ("F3 0F C7 F8", .rdpid),
    ("0F 01 10", .lgdt), ("0F 01 38", .invlpg), ("0F 01 E0", .smsw), ("0F 1F 40 00", .nop),
  ])
  func system(_ code: String, _ mnemonic: Mnemonic) throws {
    #expect(try decode(code).mnemonic == mnemonic)
    #expect(try decode(code).length == bytes(code).count)
  }

  @Test func vmxOperandsAreOfTheNativeSize() throws {
    #expect(try decode("0F 78 C1").operand0.size == 8)
    #expect(try decode("0F 78 C1", .protected32).operand0.size == 4)
    #expect(try decode("0F 78 C1", .protected16).operand0.size == 4)
    #expect(try decode("66 0F 38 80 08").operand1 == Operand(.memory, size: 16))
    #expect(failure("0F 01 D9") == .invalid, "VMMCALL is of another architecture")
    #expect(failure("66 0F 78 C1") == .invalid)
  }

  @Test func lengthLimits() {
    let prefixes = String(repeating: "66 ", count: 14)
    #expect(failure(prefixes + "90") == nil)
    #expect(failure(prefixes + "66 90") == .tooLong)
    #expect(failure(prefixes) == .truncated)
    #expect(failure(prefixes + "05") == .tooLong)
    #expect(failure("") == .truncated)
    #expect(failure("48 B8 00 00 00 00 00 00 00") == .truncated)
  }
}
