import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

@Suite(.onTestedProcessor) struct SystemEntryTests {
  @Test func runsToHLT() throws {
    // mov eax, 40; add eax, 2; jmp +1; (int3); hlt
    let guest = try SystemGuest([0xB8, 40, 0, 0, 0, 0x83, 0xC0, 2, 0xEB, 1, 0xCC, 0xF4])
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 42)
    #expect(guest.vmcs[.guestRIP] == SystemGuest.Place.code + 11)
    #expect(guest.vmcs[.exitInstructionLength] == 1)
    #expect(guest.cpu.clock.pointee.instructions == 3, "HLT has not retired")
  }

  @Test func refusesBadControls() throws {
    let guest = try SystemGuest([0xF4])
    guest.vmcs.pinBasedControls = []
    #expect(guest.run() == .failed(.entryInvalidControlFields))
    #expect(guest.vmcs[.vmInstructionError] == 7)
  }

  @Test func refusesBadHostState() throws {
    let guest = try SystemGuest([0xF4])
    guest.vmcs[.hostTRSelector] = 0
    #expect(guest.run() == .failed(.entryInvalidHostStateFields))
    #expect(guest.vmcs[.vmInstructionError] == 8)
  }

  @Test func failsOnBadGuestState() throws {
    let guest = try SystemGuest([0xF4])
    guest.vmcs[.guestRFLAGS] = 0
    #expect(guest.run() == .exit(ExitReasonField(.entryFailureInvalidGuestState, entryFailure: true)))
    #expect(guest.vmcs[.exitReason] == 0x8000_0021)
    #expect(guest.cpu.clock.pointee.instructions == 0)
  }

  @Test func stopsAtTheInstructionLimit() throws {
    let guest = try SystemGuest([0xEB, 0xFE])
    #expect(guest.run(limit: 12_345) == .stopped(.instructionLimit))
    #expect(guest.cpu.clock.pointee.instructions == 12_345)
    #expect(guest.run(limit: 1) == .stopped(.instructionLimit))
    #expect(guest.cpu.clock.pointee.instructions == 12_346)
  }

  @Test func stopsOnRequest() throws {
    let guest = try SystemGuest([0xEB, 0xFE])
    guest.cpu.requestStop()
    #expect(guest.run() == .stopped(.requested))
    #expect(guest.run(limit: 10) == .stopped(.instructionLimit), "the request is used up")
  }

  @Test func idlesInHLTWithoutAWakeSource() throws {
    let guest = try SystemGuest([0xF4, 0x90, 0xF4])
    guest.vmcs.primaryProcessorBasedControls.remove(.hltExiting)
    #expect(guest.run() == .stopped(.idle))
    #expect(guest.vmcs[.guestActivityState] == 1)
    #expect(guest.vmcs[.guestRIP] == SystemGuest.Place.code + 1)
  }

  /// A VMCS that has passed once is checked again wherever it has changed.
  @Test func checksWhatChangedSinceTheLastEntry() throws {
    let changes: [(SystemGuest) -> Void] = [
      { $0.vmcs[.guestRFLAGS] = 0 },
      { $0.vmcs[.guestRIP] = 1 << 48 },
      { $0.vmcs[.guestTRAccessRights] = 0x83 },
      { $0.vmcs[.guestActivityState] = 7 },
      { $0.vmcs[.entryInterruptionInformation] = 0x8000_0030 },
      { $0[SystemGuest.Place.shadow] = 0 },
    ]
    for (number, change) in changes.enumerated() {
      let guest = try SystemGuest([0xF4])
      guest[SystemGuest.Place.shadow] = UInt64(guest.cpu.capabilities.basic.revision) | 1 << 31
      guest.enable(.vmcsShadowing)
      guest.vmcs[.vmcsLinkPointer] = SystemGuest.Place.shadow
      guest.expectExit(.hlt)
      guest.expectExit(.hlt)
      change(guest)
      guard case .exit(let reason) = guest.run() else {
        Issue.record("change \(number) is no failed entry")
        continue
      }
      #expect(reason.isEntryFailure, "change \(number)")
    }
    let guest = try SystemGuest([0xF4])
    guest.expectExit(.hlt)
    guest.vmcs[.hostCR0] = 0
    #expect(guest.run() == .failed(.entryInvalidHostStateFields))
  }
}
