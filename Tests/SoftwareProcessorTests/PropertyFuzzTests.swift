import GuestMemory
import SoftwareProcessor
import Testing
import VMX
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

  @Test(
    "… nor what is in its VMCS, or what it executes at privilege level 0 under one", arguments: [false, true])
  func survivesUnderAVMCS(hasRandomFields: Bool) throws {
    let guest = try SystemGuest()
    let pristine = VMCS.allocate()
    defer { pristine.deallocate() }
    var random = PropertyRandom(seed: 0xF0_22EE)
    // The tables and all, which the code of a case may overwrite.
    let tables = [UInt8](UnsafeRawBufferPointer(start: guest.memory.base, count: 0x2_6000))
    var outcomes = 0
    for number in 0..<(Self.cases / 4) {
      switch number {
      case 0: pristine.copy(from: guest.vmcs)
      case Self.cases / 16:
        guest.vmcs.copy(from: pristine)
        guest.enterProtectedMode()
        pristine.copy(from: guest.vmcs)
      case Self.cases / 8:
        guest.vmcs.copy(from: pristine)
        guest.enterRealMode()
        pristine.copy(from: guest.vmcs)
      default: guest.vmcs.copy(from: pristine)
      }
      if number % 8 == 0 { guest.place(tables, at: 0) }
      if hasRandomFields {
        for _ in 0..<(1 + random.next() % 3) { Self.change(guest.vmcs, &random) }
      }
      let address = guest.vmcs[.guestRIP]
      guest.place((0..<64).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: address)
      // Half of the cases begin with an opcode of two bytes, where the system instructions are.
      if random.next() & 1 == 0 { guest.place([0x0F], at: address) }
      for register in GeneralRegister.allCases {
        let value = random.value()
        guest.registers[register] = random.next() & 3 == 0 ? value : value & 0x3F_FFFF
      }
      if case .exit = guest.run(limit: 64) { outcomes += 1 }
    }
    #expect(outcomes > Self.cases / 16)
  }

  @Test("A handler that faults for ever ends at the instruction limit")
  func faultingHandlerEnds() throws {
    // UD2, to which the vector of #UD leads back, on a stack that begins anew each time.
    let guest = try SystemGuest([0x0F, 0x0B])
    guest.setGate(6, to: SystemGuest.Place.code, stackTable: 1)
    guest[SystemGuest.Place.tss + 0x24] = SystemGuest.Place.stack
    let outcome = guest.run(limit: 1000)
    #expect(outcome == .stopped(.instructionLimit))
  }

  /// Gives a field that exists a random value, or flips one of its bits.
  private static func change(_ vmcs: VMCS, _ random: inout PropertyRandom) {
    while true {
      guard let field = VMCSField(rawValue: UInt32(truncatingIfNeeded: random.next()) & 0x6C3E) else {
        continue
      }
      let bit: UInt64 = 1 << (random.next() & 63)
      vmcs[field] = random.next() & 1 == 0 ? vmcs[field] ^ bit : random.value()
      return
    }
  }

  #if DEBUG
    private static let cases = 3_000
  #else
    private static let cases = 40_000
  #endif
}
