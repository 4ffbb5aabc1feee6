import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

/// Hostile guests: whatever a VMCS and the code hold, the processor returns.
@Suite(.onTestedProcessor) struct SystemFuzzTests {
  /// How many cases, in hundreds.
  static let scale = testedFuzzScale

  /// SplitMix64: the same cases on every run.
  struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
      return value ^ value >> 31
    }

    /// A value that more often than not is near something interesting.
    mutating func value() -> UInt64 {
      switch next() % 6 {
      case 0: return next()
      case 1: return next() & 0xFFFF
      case 2: return 1 << (next() & 63)
      case 3: return 0 &- (next() & 0xFF)
      case 4: return next() & 0x3F_FFF8
      default: return next() & 0xFFFF_FFFF
      }
    }
  }

  /// Opcodes that the processor's system side implements, to begin random code with.
  private static let opcodes: [[UInt8]] = [
    [0x0F, 0x00], [0x0F, 0x01], [0x0F, 0x02], [0x0F, 0x03], [0x0F, 0x05], [0x0F, 0x06], [0x0F, 0x07],
    [0x0F, 0x20], [0x0F, 0x21], [0x0F, 0x22], [0x0F, 0x23], [0x0F, 0x30], [0x0F, 0x32], [0x0F, 0x34],
    [0x0F, 0x35], [0x0F, 0x78], [0x0F, 0x79], [0x0F, 0xC7], [0x0F, 0xB2], [0x0F, 0xA1], [0x8E], [0x17],
    [0x9A], [0xEA], [0xFF], [0xCA], [0xCB], [0xCD], [0xCC], [0xCE], [0xF1], [0xCF], [0x48, 0xCF], [0x9D],
    [0xFA], [0xFB], [0xE4], [0xEF], [0xF3, 0x6E], [0xF3, 0x6D], [0x62], [0xC4], [0xF4], [0x0F, 0xAE],
  ]

  private func code(_ random: inout Random) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < 48 {
      if random.next() % 4 == 0 {
        bytes.append([0x66, 0x67, 0x48, 0xF2, 0xF3, 0x2E][Int(random.next() % 6)])
      }
      bytes += Self.opcodes[Int(random.next() % UInt64(Self.opcodes.count))]
      bytes.append(UInt8(truncatingIfNeeded: random.next()))
      if random.next() % 2 == 0 { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
    }
    return bytes
  }

  private func scramble(_ guest: SystemGuest, _ random: inout Random) {
    for register in GeneralRegister.allCases where random.next() % 2 == 0 {
      guest.registers[register] = random.value()
    }
    for _ in 0..<8 {
      // Tables, gates and stacks.
      let table = [SystemGuest.Place.gdt, SystemGuest.Place.idt, SystemGuest.Place.tss, SystemGuest.Place.pd]
      guest[table[Int(random.next() % 4)] + (random.next() & 0x1F8)] = random.value()
    }
    for vector in UInt64(0)..<15 where random.next() % 3 != 0 {
      guest.setGate(
        vector, to: SystemGuest.Place.code + (random.next() & 0x1F), selector: 8 * (random.next() & 15),
        type: random.next() % 4 == 0 ? random.next() & 0xFF : 0x8E)
    }
  }

  /// Runs until the guest stops making progress, moving past the instructions that exit.
  private func drive(_ guest: SystemGuest, _ random: inout Random) {
    for _ in 0..<20 {
      switch guest.run(limit: 2000) {
      case .failed, .stopped: return
      case .exit(let reason):
        if reason.isEntryFailure { return }
        guest.vmcs[.guestRIP] &+= max(guest.vmcs[.exitInstructionLength], 1)
        guest.vmcs[.guestRFLAGS] &= ~0x1_0000
      }
    }
  }

  @Test func randomCodeInEveryMode() throws {
    var random = Random(state: 1)
    for round in 0..<100 * Self.scale {
      let guest = try SystemGuest()
      switch round % 5 {
      case 0: break
      case 1: guest.enterUserMode()
      case 2: guest.enterProtectedMode()
      case 3: guest.enterRealMode()
      default: guest.enableEPT(flags: true)
      }
      guest.place(code(&random), at: guest.vmcs[.guestRIP])
      scramble(guest, &random)
      guest.vmcs[.exceptionBitmap] = random.next() % 2 == 0 ? 0 : random.next() & 0xFFFF_FFFF
      drive(guest, &random)
    }
  }

  @Test func randomFieldsOfAGoodVMCS() throws {
    var random = Random(state: 2)
    for _ in 0..<300 * Self.scale {
      let guest = try SystemGuest(code(&random))
      if random.next() % 2 == 0 { guest.enableEPT() }
      if random.next() % 4 == 0 { guest.enable(.unrestrictedGuest) }
      for _ in 0..<(1 + random.next() % 4) {
        let row = VMCSField.rows[Int(random.next() % UInt64(VMCSField.count))]
        guest.vmcs[row.field] = random.value()
      }
      drive(guest, &random)
    }
  }

  @Test func randomVMCS() throws {
    var random = Random(state: 3)
    for _ in 0..<100 * Self.scale {
      let guest = try SystemGuest(code(&random))
      for word in 2..<512 {
        guest.vmcs.region.storeBytes(of: random.value(), toByteOffset: word * 8, as: UInt64.self)
      }
      drive(guest, &random)
    }
  }

  @Test func determinism() throws {
    var results: [[UInt64]] = []
    for _ in 0..<2 {
      var random = Random(state: 4)
      var trace: [UInt64] = []
      for _ in 0..<60 {
        let guest = try SystemGuest(code(&random))
        scramble(guest, &random)
        drive(guest, &random)
        trace += [
          guest.cpu.clock.pointee.instructions, guest.vmcs[.guestRIP], guest.vmcs[.exitReason],
          guest.registers.pointee.rax, guest.registers.pointee.rsp, guest.vmcs[.guestRFLAGS],
        ]
      }
      results.append(trace)
    }
    #expect(results[0] == results[1])
  }
}
