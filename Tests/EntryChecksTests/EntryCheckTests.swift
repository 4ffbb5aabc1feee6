import EntryCases
import EntryChecks
import Testing
import VMX
import X86

@Suite struct EntryCheckTests {
  /// Every check by its name.
  static let names: [String] = {
    var names: [String] = []
    for i in EntryCheck.executionControls.indices {
      names.append(EntryCheck.executionControls[i].name.description)
    }
    for i in EntryCheck.exitAndEntryControls.indices {
      names.append(EntryCheck.exitAndEntryControls[i].name.description)
    }
    for i in EntryCheck.hostState.indices { names.append(EntryCheck.hostState[i].name.description) }
    for i in EntryCheck.guestRegisters.indices { names.append(EntryCheck.guestRegisters[i].name.description) }
    for i in EntryCheck.guestSegments.indices { names.append(EntryCheck.guestSegments[i].name.description) }
    for i in EntryCheck.guestOtherState.indices {
      names.append(EntryCheck.guestOtherState[i].name.description)
    }
    return names
  }()

  @Test func correctVMCSViolatesNothing() {
    #expect(EntryMachine().violations == [])
    for prepare in [
      EntryMachine.leaveIA32eMode, EntryMachine.leaveIA32eModeInGuest, EntryMachine.enterVirtual8086Mode,
      EntryMachine.enterUserMode,
      EntryMachine.enterRealMode, EntryMachine.needEPTForNothing, EntryMachine.needTPRShadowForNothing,
      EntryMachine.enterSMM,
    ] {
      let machine = EntryMachine()
      prepare(machine)()
      #expect(machine.violations == [])
    }
  }

  /// SDM, "Checks on Guest RIP, RFLAGS, and SSP": bit 47 is not among the bits that must be identical.
  @Test func ripMayHaveRunPastTheLowerHalf() {
    let machine = EntryMachine()
    machine.vmcs[.guestRIP] = 1 << 47
    #expect(machine.violations == [])
  }

  @Test(arguments: EntryCase.all)
  func checkIsViolatedAlone(_ test: EntryCase) {
    let machine = EntryMachine()
    test.prepare(machine)
    #expect(machine.violations == [])
    test.change(machine)
    #expect(Set(machine.violations) == test.also.union([test.name]))
  }

  @Test func everyCheckHasACaseAndEveryCaseACheck() {
    #expect(Set(Self.names).count == Self.names.count)
    #expect(Set(Self.names).subtracting(EntryCase.all.map(\.name)) == [])
    #expect(Set(EntryCase.all.map(\.name)).subtracting(Self.names) == [])
  }

  @Test func firstViolationDecidesWhatTheEntryIs() throws {
    let machine = EntryMachine()
    #expect(machine.inspection.firstViolation == nil)
    machine.vmcs[.vmcsLinkPointer] = 1
    #expect(machine.inspection.firstViolation?.failure == .guestState(.invalidLinkPointer))
    machine.vmcs[.guestCR0] = 0
    #expect(machine.inspection.firstViolation?.failure == .guestState(.none))
    machine.vmcs[.hostCR0] = 0
    #expect(machine.inspection.firstViolation?.failure == .hostState)
    machine.vmcs[.pinBasedControls] = 0
    let failure = try #require(machine.inspection.firstViolation?.failure)
    #expect(failure == .controls)
    #expect(failure.instructionError?.rawValue == 7)
    #expect(EntryFailure.hostState.instructionError?.rawValue == 8)
    #expect(EntryFailure.guestState(.pdpteLoading).exitReason?.rawValue == 0x8000_0021)
    #expect(EntryFailure.guestState(.pdpteLoading).instructionError == nil)
  }

  @Test func violationNamesCheckFieldValueAndSection() {
    let machine = EntryMachine()
    machine.vmcs[.hostCR4] = 0x20
    #expect(
      machine.inspection.firstViolation?.description
        == "Host CR4 is supported in VMX operation: HOST_CR4 is 0x20; expected that the bits of IA32_VMX_CR4_FIXED0 "
        + "are 1, and those not of IA32_VMX_CR4_FIXED1 are 0 "
        + "(SDM, \"Checks on Host Control Registers, MSRs, and SSP\")")
  }

  @Test func pdptesComeFromMemoryWithoutEPT() {
    let machine = EntryMachine()
    machine.leaveIA32eModeInGuest()
    machine.needEPTForNothing()
    machine.vmcs.secondaryProcessorBasedControls.remove(.enableEPT)
    machine.vmcs[.guestCR3] = 0x7020
    for offset in stride(from: UInt64(0), to: 32, by: 8) { machine.memory[0x7020 + offset] = 1 }
    #expect(machine.violations == [])
    machine.memory[0x7030] = 0x1E1
    #expect(machine.violations == ["PDPTE 2 has no reserved bits"])
    #expect(machine.inspection.firstViolation?.failure == .guestState(.pdpteLoading))
    machine.memory[0x7030] = nil
    #expect(machine.violations == ["PDPTE 2 has no reserved bits"])
  }

  /// SDM, "VM-Entry Control Fields": whether CR0.PE is 1 matters in an unrestricted guest only.
  @Test func errorCodesInRealAddressMode() {
    let section = "Error code is delivered"
    for (isUnrestricted, event, isViolated) in [
      (true, UInt64(0x8000_0B0D), true), (true, 0x8000_030D, false), (false, 0x8000_0B0D, false),
      (false, 0x8000_030D, true),
    ] {
      let machine = EntryMachine()
      machine.enterRealMode()
      if !isUnrestricted { machine.vmcs.secondaryProcessorBasedControls.remove(.unrestrictedGuest) }
      machine.inject(event)
      #expect(machine.violations.contains { $0.hasPrefix(section) } == isViolated)
    }
  }

  @Test func controlsThatAreNotActivatedAreNotChecked() {
    let machine = EntryMachine()
    machine.vmcs.primaryProcessorBasedControls.remove(.activateSecondaryControls)
    machine.vmcs.primaryProcessorBasedControls.remove(.activateTertiaryControls)
    machine.vmcs.pinBasedControls.remove(.processPostedInterrupts)
    machine.vmcs[.vmcsLinkPointer] = .max
    machine.vmcs.exitControls.remove(.activateSecondaryControls)
    machine.vmcs[.secondaryProcessorBasedControls] = 0xFFFF_FFFF
    machine.vmcs[.tertiaryProcessorBasedControls] = .max
    machine.vmcs[.secondaryExitControls] = .max
    machine.vmcs[.eptPointer] = .max
    #expect(machine.violations == [])
  }

  @Test func noVMCSIsTooHostileToCheck() {
    var random = SplitMix(state: 1)
    let machine = EntryMachine()
    for _ in 0..<2000 {
      for offset in stride(from: 16, to: VMCS.size, by: 8) {
        // Keep some fields, so that deeper checks are reached too.
        guard random.next() & 3 == 0 else { continue }
        machine.vmcs.region.storeBytes(
          of: random.next() &>> (random.next() & 63), toByteOffset: offset, as: UInt64.self)
      }
      #expect(machine.inspection.firstViolation != nil)
    }
  }
}

/// A small generator of numbers, the same in every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
