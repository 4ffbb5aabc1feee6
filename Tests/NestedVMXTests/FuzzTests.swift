import NestedVMX
import Testing
import VMX
import X86

/// Whatever L1 does, L0 goes on: these tests end if and only if nothing traps.
@Suite("Hostile L1")
struct FuzzTests {
  /// A generator with a fixed seed (splitmix64), so that a failure can be repeated.
  struct Random {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
      return value ^ value >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    /// Values that are more often interesting than random.
    mutating func value() -> UInt64 {
      switch below(6) {
      case 0: 0
      case 1: .max
      case 2: next() & 0xF_F000
      case 3: UInt64(1) << UInt64(below(64))
      case 4: next() & 0xFFFF
      default: next()
      }
    }
  }

  @Test(arguments: [VMCSAccessModel.off, .hardware])
  func randomInstructionsAndExits(policy: VMCSAccessModel) throws {
    var random = Random(state: 42)
    for _ in 0..<40 {
      let machine = try TestMachine(policy: NestedPolicy(vmcsAccess: policy), pool: 28)
      machine.prepareVMCS12()
      for _ in 0..<60 { step(machine, &random) }
    }
  }

  private func step(_ machine: TestMachine, _ random: inout Random) {
    if machine.isInL2 {
      scramble(machine.vmx.vmcs02, &random, count: 10)
      let reason = ExitReasonField(rawValue: UInt32(random.below(90)) | (random.below(20) == 0 ? 1 << 31 : 0))
      if case .reflectedToL1(let exit) = machine.vmx.route(reason) {
        let reflection = machine.vmx.reflect(exit)
        _ = machine.vmx.entry(0, of: reflection.loadMSRs)
      } else {
        machine.vmx.prepareToResume()
      }
    } else {
      disturb(machine, &random)
      let reason = ExitReason.allCases[random.below(ExitReason.allCases.count)]
      let outcome =
        random.below(3) == 0 ? machine.execute(.vmlaunch) : machine.execute(reason, second: random.value())
      if case .enterL2(let list) = outcome { _ = machine.vmx.entry(list.count, of: list) }
    }
    while machine.vmx.takeInvalidation() != nil {}
  }

  private func disturb(_ machine: TestMachine, _ random: inout Random) {
    if random.below(4) == 0 { scramble(machine.vmcs12, &random, count: 1 + random.below(4)) }
    if random.below(8) == 0 { machine.memory[random.next() & 0xF_FFF8] = random.value() }
    machine.memory[TestMachine.operand] = random.value()
    for register in GeneralRegister.allCases where random.below(4) == 0 {
      machine.registers[register] = random.value()
    }
    machine.vmcs01[.exitInstructionInformation] = random.value()
    machine.vmcs01[.exitQualification] = random.value()
    if random.below(3) != 0 { _ = machine.vmx.execute(.vmread) }
    if random.below(10) == 0 { scramble(machine.vmcs01, &random, count: 1) }
  }

  /// Puts random values into random fields, as wide as the fields are.
  private func scramble(_ vmcs: VMCS, _ random: inout Random, count: Int) {
    for _ in 0..<count {
      vmcs[VMCSField.rows[random.below(VMCSField.count)].field] = random.value()
    }
  }

  @Test func randomRegions() throws {
    var random = Random(state: 7)
    for _ in 0..<200 {
      let machine = try TestMachine(pool: 28)
      machine.execute(.vmxon, pointer: TestMachine.vmxonRegion)
      for offset in stride(from: UInt64(8), to: 4096, by: 8) {
        machine.memory[TestMachine.region + offset] = random.value()
      }
      machine.execute(.vmptrld, pointer: TestMachine.region)
      machine.vmcs12.isLaunched = false
      machine.execute(.vmlaunch)
      machine.execute(.vmclear, pointer: TestMachine.region)
    }
  }

  /// Violations of random vmcs12s whose controls are good, so that the merge is reached often.
  @Test func randomGuestStates() throws {
    var random = Random(state: 99)
    var entries = 0
    for _ in 0..<300 {
      let machine = try TestMachine(pool: 32)
      machine.prepareVMCS12(ept: random.below(2) == 0)
      let guest: [VMCSField] = [
        .guestCR0, .guestCR4, .guestRIP, .guestDR7, .guestTRBase, .exceptionBitmap, .tscOffset, .vpid,
        .eptPointer, .cr0GuestHostMask, .cr4ReadShadow, .guestRSP,
      ]
      machine.vmcs12[guest[random.below(guest.count)]] = random.value()
      if case .enterL2 = machine.execute(.vmlaunch) {
        entries += 1
        machine.vmx.vmcs02[.guestPhysicalAddress] = random.value()
        _ = machine.exitL2(.eptViolation, qualification: random.value())
      }
    }
    #expect(entries > 20, "the merge was reached")
  }
}
