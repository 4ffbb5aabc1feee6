import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// Breakpoints, single steps of string instructions, and alignment checking.
@Suite(.onTestedProcessor) struct SystemBreakpointTests {
  /// A guest whose debug exceptions exit.
  private func guest(_ code: [UInt8], dr7: UInt64 = 0x400) throws -> SystemGuest {
    let guest = try SystemGuest(code)
    guest.vmcs[.exceptionBitmap] = 1 << 1 | 1 << 17
    guest.vmcs[.guestDR7] = dr7
    return guest
  }

  private func expectDebug(_ guest: SystemGuest, bits: UInt64, rip: UInt64) {
    guest.expectExit(.exceptionOrNMI)
    #expect(UInt8(truncatingIfNeeded: guest.vmcs[.exitInterruptionInformation]) == 1)
    #expect(guest.vmcs[.exitQualification] == bits)
    #expect(guest.vmcs[.guestRIP] == rip)
  }

  @Test func instructionBreakpointIsAFaultUnlessRFIsSet() throws {
    let guest = try guest([0x90, 0x90, 0xF4], dr7: 0x402)  // nop; nop; hlt
    guest.registers.pointee.dr0 = Place.code + 1
    expectDebug(guest, bits: 1, rip: Place.code + 1)
    #expect(guest.vmcs[.guestRFLAGS] & RFLAGS.rf.rawValue == 0, "the handler has to set RF itself")
    guest.vmcs[.guestRFLAGS] |= RFLAGS.rf.rawValue
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRFLAGS] & RFLAGS.rf.rawValue == 0)
  }

  @Test func dataBreakpointsTrapBehindTheAccess() throws {
    // mov [30004H], al; mov al, [30004H]; hlt
    let code: [UInt8] = [0x88, 0x04, 0x25, 4, 0, 3, 0, 0x8A, 0x04, 0x25, 4, 0, 3, 0, 0xF4]
    // DR1: writes of the 4 bytes from 30004H; DR2: any access of the 2 bytes from 30004H.
    let guest = try guest(code, dr7: 0x400 | 1 << 2 | 1 << 5 | 0xD << 20 | 0x7 << 24)
    guest.registers.pointee.dr1 = Place.data + 4
    guest.registers.pointee.dr2 = Place.data + 4
    expectDebug(guest, bits: 6, rip: Place.code + 7)
    guest.vmcs[.guestPendingDebugExceptions] = 0
    expectDebug(guest, bits: 4, rip: Place.code + 14)
    guest.vmcs[.guestPendingDebugExceptions] = 0
    guest.expectExit(.hlt)
  }

  @Test func dataBreakpointOfAFaultingInstructionIsForgotten() throws {
    // push qword [30000H], with a stack that is not present: the load meets the breakpoint, the push faults
    let guest = try guest([0xFF, 0x34, 0x25, 0, 0, 3, 0], dr7: 0x400 | 2 | 0xF << 16)
    guest.registers.pointee.dr0 = Place.data
    guest.vmcs[.guestRSP] = 0x8000_0000
    guest.vmcs[.exceptionBitmap] = 1 << 14
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.guestRIP] == Place.code)
    #expect(guest.vmcs[.guestPendingDebugExceptions] == 0)
  }

  @Test func dataBreakpointOfARepeatedStringStopsAtItsIteration() throws {
    let guest = try guest([0xF3, 0xAA, 0xF4], dr7: 0x400 | 2 | 1 << 16)  // rep stosb; hlt
    guest.registers.pointee.dr0 = Place.data + 2
    guest.registers.pointee.rdi = Place.data
    guest.registers.pointee.rcx = 5
    expectDebug(guest, bits: 1, rip: Place.code)
    #expect(guest.registers.pointee.rcx == 2)
    #expect(guest.vmcs[.guestRFLAGS] & RFLAGS.rf.rawValue == 0)
  }

  @Test func singleStepsEachIteration() throws {
    let guest = try guest([0xF3, 0xAA, 0xF4])
    guest.vmcs[.guestRFLAGS] = 0x102
    guest.registers.pointee.rdi = Place.data
    guest.registers.pointee.rcx = 2
    expectDebug(guest, bits: 0x4000, rip: Place.code)
    #expect(guest.registers.pointee.rcx == 1)
    guest.vmcs[.guestPendingDebugExceptions] = 0
    expectDebug(guest, bits: 0x4000, rip: Place.code + 2)
  }

  @Test func handlerOfATrapBetweenIterationsSeesRF() throws {
    let guest = try guest([0xF3, 0xAA])
    guest.vmcs[.exceptionBitmap] = 0
    guest.setGate(1, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.guestRFLAGS] = 0x102
    guest.registers.pointee.rdi = Place.data
    guest.registers.pointee.rcx = 2
    guest.expectExit(.hlt)
    #expect(guest[guest.vmcs[.guestRSP]] == Place.code)
    #expect(guest[guest.vmcs[.guestRSP] + 16] == 0x1_0102)
  }

  @Test func generalDetectionSetsRFInTheFrame() throws {
    let guest = try guest([0x0F, 0x21, 0xC0], dr7: 0x2400)  // mov rax, dr0
    guest.vmcs[.exceptionBitmap] = 0
    guest.setGate(1, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest[guest.vmcs[.guestRSP] + 16] == 0x1_0002)
    #expect(guest.registers.pointee.dr6 & DR6.bd.rawValue != 0)
  }

  @Test func debugExceptionReplacesTheBreakpointBitsOfDR6() throws {
    let guest = try guest([0x90, 0xF4], dr7: 0x402)
    guest.vmcs[.exceptionBitmap] = 0
    guest.setGate(1, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.registers.pointee.dr0 = Place.code
    guest.registers.pointee.dr6 = 0xFFFF_4FF2
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.dr6 == 0xFFFF_4FF1)
  }

  @Test func loadOfSSHasNoSingleStep() throws {
    let guest = try guest([0x8E, 0xD0, 0x90, 0xF4])  // mov ss, eax; nop; hlt
    guest.vmcs[.guestRFLAGS] = 0x102
    guest.registers.pointee.rax = SystemGuest.Selector.data
    expectDebug(guest, bits: 0x4000, rip: Place.code + 3)

    let other = try self.guest([0x8E, 0xD0, 0xF1])  // mov ss, eax; int1
    other.vmcs[.exceptionBitmap] = 0
    other.vmcs[.guestRFLAGS] = 0x102
    other.registers.pointee.rax = SystemGuest.Selector.data
    other.registers.pointee.dr6 = 0xFFFF_0FF0
    other.setGate(1, to: Place.handler)
    other.place([0xF4], at: Place.handler)
    other.expectExit(.hlt)
    #expect(other.vmcs[.guestRSP] == Place.stack - 40, "one frame")
    #expect(other.registers.pointee.dr6 == 0xFFFF_0FF0)
  }

  /// A load of SS that meets a data breakpoint holds its trap back; with that of an INT1 behind it, it is one.
  @Test func heldBackTrapIsOneWithTheNextINT1() throws {
    // mov ss, [30000H]; int1
    let guest = try guest([0x8E, 0x14, 0x25, 0, 0, 3, 0, 0xF1], dr7: 0x400 | 2 | 0xF << 16)
    guest.vmcs[.exceptionBitmap] = 0
    guest[Place.data] = SystemGuest.Selector.data
    guest.registers.pointee.dr0 = Place.data
    guest.registers.pointee.dr6 = 0xFFFF_0FF0
    guest.setGate(1, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == Place.stack - 40, "one frame")
    #expect(guest.vmcs[.guestPendingDebugExceptions] == 0)
    #expect(guest.registers.pointee.dr6 == 0xFFFF_0FF1)
  }

  @Test func portBreakpointNeedsDE() throws {
    for (cr4, hits) in [(UInt64(0x2020), false), (0x2028, true)] {
      let guest = try guest([0xEC, 0xF4], dr7: 0x400 | 2 | 2 << 16)  // in al, dx; hlt
      guest.enable([.useIOBitmaps])
      guest.vmcs[.guestCR4] = cr4
      guest.registers.pointee.dr0 = 0x80
      guest.registers.pointee.rdx = 0x80
      if hits { expectDebug(guest, bits: 1, rip: Place.code + 1) } else { guest.expectExit(.hlt) }
    }
  }

  @Test(arguments: [(true, true, true), (false, true, false), (true, false, false)])
  func alignmentIsCheckedInUserMode(_ am: Bool, _ ac: Bool, _ faults: Bool) throws {
    // mov eax, [30001H]; ud2
    let guest = try guest([0x8B, 0x04, 0x25, 1, 0, 3, 0, 0x0F, 0x0B])
    guest.enterUserMode()
    guest.vmcs[.exceptionBitmap] |= 1 << 6
    if am { guest.vmcs[.guestCR0] |= CR0.am.rawValue }
    if ac { guest.vmcs[.guestRFLAGS] |= RFLAGS.ac.rawValue }
    guest.expectExit(.exceptionOrNMI)
    #expect(UInt8(truncatingIfNeeded: guest.vmcs[.exitInterruptionInformation]) == (faults ? 17 : 6))
    if faults { #expect(guest.vmcs[.exitInterruptionErrorCode] == 0) }
  }

  @Test func alignmentComesBeforeThePage() throws {
    let guest = try guest([0x8B, 0x04, 0x25, 1, 0, 0, 0x70])  // mov eax, [70000001H], absent
    guest.enterUserMode()
    guest.vmcs[.exceptionBitmap] |= 1 << 14
    guest.vmcs[.guestCR0] |= CR0.am.rawValue
    guest.vmcs[.guestRFLAGS] |= RFLAGS.ac.rawValue
    guest.expectExit(.exceptionOrNMI)
    #expect(UInt8(truncatingIfNeeded: guest.vmcs[.exitInterruptionInformation]) == 17)
  }
}
