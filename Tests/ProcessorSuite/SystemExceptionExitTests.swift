import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// Exceptions that cause VM exits, events that VM entry injects, and VM exits during event delivery.
@Suite(.onTestedProcessor) struct SystemExceptionExitTests {
  @Test func exceptionBitmap() throws {
    let guest = try SystemGuest([0x0F, 0x0B])
    guest.vmcs[.exceptionBitmap] = 1 << 6
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0306)
    #expect(guest.vmcs[.guestRIP] == Place.code)
    #expect(guest.vmcs[.guestRFLAGS] == 0x1_0002, "RF, as in the image that a fault pushes")
  }

  /// SDM volume 3, "Details of Vectored-Event Injection".
  @Test func injectionLeavesCR2AndTheDebugRegistersAlone() throws {
    let guest = try SystemGuest()
    for vector in [UInt64(1), 14] { guest.setGate(vector, to: Place.handler) }
    guest.place([0xF4], at: Place.handler)
    guest.registers.pointee.cr2 = 0x1234
    guest.registers.pointee.dr6 = 0xFFFF_8FF5
    guest.vmcs[.guestDR7] = 0x2400
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0B0E
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.cr2 == 0x1234)
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0301
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.dr6 == 0xFFFF_8FF5)
    #expect(guest.vmcs[.guestDR7] == 0x2400)
  }

  @Test func anExitDuringDeliveryFindsTheProcessorAwake() throws {
    let guest = try SystemGuest([0xF4])
    guest.vmcs.primaryProcessorBasedControls.remove(.hltExiting)
    guest.vmcs[.guestActivityState] = 1
    guest.vmcs[.guestRFLAGS] = 0x202
    guest.vmcs[.guestIDTRLimit] = 0
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.cpu.externalInterrupt = 0x40
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.idtVectoringInformation] == 0x8000_0040)
    #expect(guest.vmcs[.guestActivityState] == 0)
  }

  @Test func softwareExceptionReportsItsLength() throws {
    let guest = try SystemGuest([0xCC])
    guest.vmcs[.exceptionBitmap] = 1 << 3
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0603)
    #expect(guest.vmcs[.exitInstructionLength] == 1)
    #expect(guest.vmcs[.guestRIP] == Place.code)
  }

  @Test func pageFaultsMatchTheirCode() throws {
    let code: [UInt8] = [0x48, 0xA3, 0, 0, 0, 0x80, 0, 0, 0, 0]
    for (bitmap, mask, match, exits) in [
      (UInt64(1) << 14, UInt64(0), UInt64(0), true), (1 << 14, 2, 2, true), (1 << 14, 2, 0, false),
      (0, 2, 0, true), (0, 2, 2, false),
    ] {
      let guest = try SystemGuest(code)
      guest.setGate(14, to: Place.handler)
      guest.place([0xF4], at: Place.handler)
      guest.vmcs[.exceptionBitmap] = bitmap
      guest.vmcs[.pageFaultErrorCodeMask] = mask
      guest.vmcs[.pageFaultErrorCodeMatch] = match
      guest.expectExit(exits ? .exceptionOrNMI : .hlt)
      guard exits else { continue }
      #expect(guest.vmcs[.exitQualification] == 0x8000_0000)
      #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B0E)
      #expect(guest.vmcs[.exitInterruptionErrorCode] == 2)
      #expect(guest.registers.pointee.cr2 == 0, "CR2 changes only at delivery")
    }
  }

  @Test func secondFaultExitsWithTheFirstAsItsVectoring() throws {
    let guest = try SystemGuest([0x0F, 0x0B])  // #UD, whose delivery finds no gate: #GP
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B0D)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 6 << 3 | 3)
    #expect(guest.vmcs[.idtVectoringInformation] == 0x8000_0306)
  }

  @Test func doubleFaultExitHasNoVectoring() throws {
    let guest = try SystemGuest([0x48, 0xF7, 0xF3])  // div rbx: #DE, then #GP: #DF
    guest.vmcs[.exceptionBitmap] = 1 << 8
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B08)
    #expect(guest.vmcs[.idtVectoringInformation] == 0)
  }

  @Test func realModeExceptionsHaveNoErrorCode() throws {
    let guest = try SystemGuest()
    guest.enterRealMode()
    guest.place([0xCD, 0x10], at: 0x8000)  // int 10h
    guest.vmcs[.guestIDTRLimit] = 0x3F
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_030D)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 0)
    #expect(guest.vmcs[.idtVectoringInformation] == 0x8000_0410)
  }

  @Test func injectsAnExternalInterrupt() throws {
    let guest = try SystemGuest([0x90])
    guest.setGate(0x51, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.guestRFLAGS] = 0x202
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0051
    guest.expectExit(.hlt)
    #expect(guest[guest.vmcs[.guestRSP]] == Place.code)
    #expect(guest.vmcs[.entryInterruptionInformation] == 0x51, "the valid bit is cleared")
    #expect(guest.cpu.clock.pointee.instructions == 0)
  }

  @Test func injectsAnExceptionThatTheBitmapWouldIntercept() throws {
    let guest = try SystemGuest([0x90])
    guest.setGate(13, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.exceptionBitmap] = 1 << 13
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0B0D
    guest.vmcs[.entryExceptionErrorCode] = 0x1234
    guest.expectExit(.hlt)
    #expect(guest[guest.vmcs[.guestRSP]] == 0x1234)
  }

  @Test func injectsASoftwareInterruptBehindTheInstruction() throws {
    let guest = try SystemGuest([0xCD, 0x40])
    guest.setGate(0x40, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0440
    guest.vmcs[.entryInstructionLength] = 2
    guest.expectExit(.hlt)
    #expect(guest[guest.vmcs[.guestRSP]] == Place.code + 2)
  }

  @Test func injectionThatMeetsAnEPTViolationIsReported() throws {
    let guest = try SystemGuest([0x90])
    guest.enableEPT()
    guest[Place.eptPD] = 0  // the first 2 MByte, with the IDT
    guest.vmcs[.guestCR3] = Place.pml4 + (1 << 21)
    for offset in stride(from: UInt64(0), to: 0x8000, by: 8) { guest[(1 << 21) + offset] = guest[offset] }
    guest[(1 << 21) + Place.pml4] = (1 << 21) + Place.pdpt | 7
    guest[(1 << 21) + Place.pdpt] = (1 << 21) + Place.pd | 7
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0306
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.idtVectoringInformation] == 0x8000_0306)
    #expect(guest.vmcs[.guestPhysicalAddress] == Place.idt + 6 * 16)
    #expect(guest.vmcs[.guestLinearAddress] == Place.idt + 6 * 16)
    #expect(guest.vmcs[.exitQualification] == 0x781)
  }

  @Test func monitorTrapFlag() throws {
    let guest = try SystemGuest([0x90, 0x90, 0x90])
    guest.enable(.monitorTrapFlag)
    for step in UInt64(1)...3 {
      guest.expectExit(.monitorTrapFlag)
      #expect(guest.vmcs[.guestRIP] == Place.code + step)
    }
  }

  @Test func externalInterruptExiting() throws {
    let guest = try SystemGuest([0xEB, 0xFE])
    guest.enable(.externalInterruptExiting)
    guest.cpu.externalInterrupt = 0x33
    guest.expectExit(.externalInterrupt)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0)
    #expect(guest.cpu.externalInterrupt == 0x33, "not acknowledged")
    guest.vmcs.exitControls.formUnion(.acknowledgeInterruptOnExit)
    guest.expectExit(.externalInterrupt)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0033)
    #expect(guest.cpu.externalInterrupt == nil)
  }

  @Test func nmiExiting() throws {
    let guest = try SystemGuest([0xEB, 0xFE])
    guest.enable(.nmiExiting)
    guest.cpu.isNMIPending = true
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0202)
  }

  @Test func interruptWindow() throws {
    let guest = try SystemGuest([0x90, 0xFB, 0x90, 0x90])
    guest.enable(.interruptWindowExiting)
    guest.expectExit(.interruptWindow)
    #expect(guest.vmcs[.guestRIP] == Place.code + 3)
  }

  @Test func nmiWindow() throws {
    let guest = try SystemGuest([0x90, 0x48, 0xCF])  // nop; iretq
    guest.enable([.nmiExiting, .virtualNMIs] as PinBasedControls)
    guest.enable(.nmiWindowExiting)
    guest.vmcs.interruptibilityState = .blockingByNMI
    guest.vmcs[.guestRSP] = Place.data
    for (offset, value) in [Place.handler, 8, 2, Place.stack, 16].enumerated() {
      guest[Place.data + UInt64(offset) * 8] = value
    }
    guest.expectExit(.nmiWindow)
    #expect(guest.vmcs[.guestRIP] == Place.handler)
  }

  @Test func preemptionTimer() throws {
    let guest = try SystemGuest([0xEB, 0xFE])
    guest.enable(.activatePreemptionTimer)
    guest.vmcs.exitControls.formUnion(.savePreemptionTimerValue)
    guest.vmcs[.preemptionTimerValue] = 10
    guest.expectExit(.preemptionTimerExpired)
    #expect(guest.cpu.clock.pointee.instructions == 10, "the rate of the TSC")
    #expect(guest.vmcs[.preemptionTimerValue] == 0)
    guest.expectExit(.preemptionTimerExpired)
    #expect(guest.cpu.clock.pointee.instructions == 10, "a timer of 0 lets nothing run")
    guest.vmcs[.preemptionTimerValue] = 100
    guest.place([0x90, 0x0F, 0xA2], at: Place.code)
    guest.expectExit(.cpuid)
    #expect(guest.vmcs[.preemptionTimerValue] == 99)
  }

  @Test func preemptionTimerWakesHLT() throws {
    let guest = try SystemGuest([0xF4])
    guest.vmcs.primaryProcessorBasedControls.remove(.hltExiting)
    guest.enable(.activatePreemptionTimer)
    guest.vmcs[.preemptionTimerValue] = 1000
    guest.expectExit(.preemptionTimerExpired)
    #expect(guest.cpu.clock.pointee.cycles == 1000)
    #expect(guest.cpu.clock.pointee.instructions == 1)
  }
}
