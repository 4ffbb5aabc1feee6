import EntryCases
import EntryChecks
import Testing
import VMX
import X86

@Suite("What VM entries have been checked")
struct EntryMemoTests {
  let machine = EntryMachine()
  let memo = OwnedMemo()

  /// Frees its memo.
  final class OwnedMemo {
    let value = EntryMemo()
    deinit { value.deallocate() }
  }

  private var circumstances: EntryCircumstances {
    let memory = machine.memory
    return EntryCircumstances(
      of: machine.vmcs, isInIA32eMode: machine.environment.isInIA32eMode,
      currentVMCSPointer: machine.environment.currentVMCSPointer
    ) { memory[$0] }
  }

  private var passes: Bool { memo.value.passes(machine.vmcs, in: circumstances) }

  private func remember() {
    #expect(machine.violations == [])
    memo.value.remember(machine.vmcs, in: circumstances)
  }

  @Test func knowsWhatItWasTold() {
    #expect(!passes)
    remember()
    #expect(passes)
  }

  @Test func passesNothingThatTheChecksRefuse() {
    remember()
    var passed = 0
    for position in 0..<VMCSField.count {
      let field = VMCSField.rows[position].field
      let value = machine.vmcs[field]
      for bit in 0..<64 {
        machine.vmcs[field] = value ^ 1 << UInt64(bit)
        guard passes else { continue }
        passed += 1
        #expect(machine.violations == [], "\(field.name) bit \(bit)")
      }
      machine.vmcs[field] = value
    }
    #expect(passed > 64, "RIP and RSP at least may change")
    #expect(passes)
  }

  @Test func passesWhatRunningAGuestChanges() {
    remember()
    machine.vmcs[.guestRIP] = 0x7FFF_FFFF_FFFF
    machine.vmcs[.guestRSP] = 0x8000_0000_0000
    machine.vmcs[.guestRFLAGS] = 0x2D7 | 1 << 11
    machine.vmcs.exitReason = ExitReasonField(.cpuid)
    machine.vmcs[.exitInstructionLength] = 2
    #expect(passes)
    machine.vmcs[.guestRIP] = 0x0100_0000_0000_0000
    #expect(!passes)
  }

  @Test func looksAtWhatTheChecksReadInMemory() {
    machine.vmcs.secondaryProcessorBasedControls.subtract([
      .virtualInterruptDelivery, .virtualizeAPICAccesses,
    ])
    machine.vmcs.pinBasedControls.remove(.processPostedInterrupts)
    machine.vmcs.tertiaryProcessorBasedControls.remove(.ipiVirtualization)
    machine.vmcs[.tprThreshold] = 4
    remember()
    machine.memory[EntryMachine.virtualAPICPage + 0x80] = 0x30
    #expect(!passes)
    #expect(machine.violations != [])
    machine.memory[EntryMachine.virtualAPICPage + 0x80] = 0x40
    #expect(passes)
    machine.memory[EntryMachine.linkedVMCS] = machine.revision
    #expect(!passes)
    #expect(machine.violations != [])
  }

  @Test func looksAtTheProcessor() {
    remember()
    machine.environment.currentVMCSPointer = EntryMachine.linkedVMCS
    #expect(!passes)
    machine.environment.currentVMCSPointer = nil
    machine.environment.isInIA32eMode = false
    #expect(!passes)
  }

  @Test func remembersNoPDPTEsInMemory() {
    machine.leaveIA32eModeInGuest()
    remember()
    #expect(passes, "with EPT the PDPTEs are fields")
    machine.needEPTForNothing()
    machine.vmcs.secondaryProcessorBasedControls.remove(.enableEPT)
    for offset: UInt64 in stride(from: 0, to: 32, by: 8) {
      machine.memory[machine.vmcs[.guestCR3] + offset] = 0
    }
    remember()
    #expect(!passes)
  }

  @Test func keepsTheVMCSsOfSeveralVirtualProcessors() {
    let others = (0..<3).map { _ in VMCS.allocate() }
    defer { for other in others { other.deallocate() } }
    remember()
    for other in others {
      other.copy(from: machine.vmcs)
      memo.value.remember(other, in: circumstances)
    }
    #expect(passes)
    for other in others { #expect(memo.value.passes(other, in: circumstances)) }
  }
}
