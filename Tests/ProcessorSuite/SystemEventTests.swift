import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place
private typealias Selector = SystemGuest.Selector

/// Delivery of exceptions and interrupts through the interrupt table, in every mode.
@Suite(.onTestedProcessor) struct SystemEventTests {
  /// The frame at the stack pointer when the handler's HLT exits.
  private func frame(_ guest: SystemGuest) -> [UInt64] {
    let pointer = guest.vmcs[.guestRSP]
    return (0..<6).map { guest[pointer + $0 * 8] }
  }

  @Test func faultIn64BitMode() throws {
    let guest = try SystemGuest([0x90, 0x0F, 0x0B])  // nop; ud2
    guest.setGate(6, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.guestRFLAGS] = 0x202
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == Place.stack - 40)
    #expect(
      Array(frame(guest)[0..<5]) == [Place.code + 1, Selector.code64, 0x1_0202, Place.stack, Selector.data])
    #expect(guest.vmcs[.guestRFLAGS] == 2, "an interrupt gate clears IF")
    #expect(guest.cpu.clock.pointee.instructions == 1, "the fault did not retire")
  }

  @Test func trapGateKeepsIF() throws {
    let guest = try SystemGuest([0xCC])
    guest.setGate(3, to: Place.handler, type: 0x8F)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.guestRFLAGS] = 0x202
    guest.expectExit(.hlt)
    #expect(frame(guest)[0] == Place.code + 1, "INT3 is a trap")
    #expect(frame(guest)[2] == 0x202, "and leaves RF clear")
    #expect(guest.vmcs[.guestRFLAGS] == 0x202)
    #expect(guest.cpu.clock.pointee.instructions == 1)
  }

  @Test func pageFaultPushesItsCodeAndSetsCR2() throws {
    let guest = try SystemGuest([0x48, 0xA3, 0x08, 0, 0, 0x80, 0, 0, 0, 0])  // mov [80000008H], rax
    guest.setGate(14, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == Place.stack - 48)
    #expect(frame(guest)[0] == 2, "a write to a page that is not present")
    #expect(frame(guest)[1] == Place.code)
    #expect(guest.registers.pointee.cr2 == 0x8000_0008)
  }

  @Test func alignsTheStackAndUsesTheIST() throws {
    let guest = try SystemGuest([0x0F, 0x0B])
    guest.vmcs[.guestRSP] = Place.stack - 3
    guest.setGate(6, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == Place.stack - 16 - 40)
    #expect(frame(guest)[3] == Place.stack - 3)

    let other = try SystemGuest([0x0F, 0x0B])
    other[Place.tss + 0x1C + 2 * 8] = 0x1_C000
    other.setGate(6, to: Place.handler, stackTable: 2)
    other.place([0xF4], at: Place.handler)
    other.expectExit(.hlt)
    #expect(other.vmcs[.guestRSP] == 0x1_C000 - 40)
  }

  @Test func entersFromUserModeAndReturnsByIRET() throws {
    // int 30h; mov eax, 7; ud2
    let guest = try SystemGuest([0xCD, 0x30, 0xB8, 7, 0, 0, 0, 0x0F, 0x0B])
    guest.enterUserMode()
    guest.setGate(0x30, to: Place.handler, type: 0xEE)
    guest.setGate(6, to: Place.handler + 0x100)
    guest.place([0x66, 0x8C, 0xD3, 0x48, 0xCF], at: Place.handler)  // mov bx, ss; iretq
    guest.place([0xF4], at: Place.handler + 0x100)
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 7)
    #expect(guest.registers.pointee.rbx & 0xFFFF == 0, "SS is null on the inner stack")
    #expect(guest.vmcs[.guestRSP] == Place.stack - 0x800 - 40, "RSP0")
    let pushed = frame(guest)
    #expect(pushed[1] == Selector.userCode64 | 3 && pushed[3] == Place.stack)
    #expect(pushed[4] == Selector.userData | 3)
    #expect(guest.vmcs[.guestCSSelector] == Selector.code64)
  }

  @Test func softwareInterruptNeedsTheGatesPrivilege() throws {
    let guest = try SystemGuest([0xCD, 0x30])
    guest.enterUserMode()
    guest.setGate(0x30, to: Place.handler)
    guest.setGate(13, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(frame(guest)[0] == 0x30 << 3 | 2, "#GP with the IDT's bit, without EXT")
    #expect(frame(guest)[1] == Place.code)
  }

  @Test func doubleAndTripleFault() throws {
    let guest = try SystemGuest([0x0F, 0x0B])  // #UD has no gate: #GP, which has none: #DF
    guest.setGate(8, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(frame(guest)[0] == 0 && frame(guest)[1] == Place.code)

    let shutdown = try SystemGuest([0x0F, 0x0B])
    shutdown.expectExit(.tripleFault)
    #expect(shutdown.vmcs[.guestRIP] == Place.code)
    #expect(shutdown.vmcs[.guestRSP] == Place.stack)
    #expect(shutdown.vmcs[.idtVectoringInformation] >> 31 == 0)
  }

  @Test func realMode() throws {
    let guest = try SystemGuest()
    guest.enterRealMode()
    guest.place([0xB4, 5, 0xCD, 0x10, 0xF4], at: 0x8000)  // mov ah, 5; int 10h; hlt
    guest.place([0x00, 0x10, 0x00, 0x08], at: 0x40)  // 0800:1000
    guest.place([0x00, 0xE4, 0xCF], at: 0x9000)  // add ah, ah; iret
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax >> 8 & 0xFF == 10)
    #expect(guest.vmcs[.guestRIP] == 0x8004 && guest.vmcs[.guestCSBase] == 0)
    #expect(guest.vmcs[.guestRSP] == 0x7000)
    #expect(guest.memory.load(PhysicalAddress<L0>(0x6FFA), as: UInt16.self) == 0x8004)
  }

  @Test func protectedModeAcrossPrivileges() throws {
    let guest = try SystemGuest([0xCD, 0x21, 0x0F, 0x0B])
    guest.enterProtectedMode()
    guest.setCode(Selector.userCode32 | 3, rights: 0xC0FB)
    guest.setData(Selector.userData | 3, rights: 0xC0F3)
    guest.setGate32(0x21, to: Place.handler, type: 0xEE)
    guest.setGate32(6, to: Place.handler + 0x100)
    guest.place([0x8C, 0xD3, 0xCF], at: Place.handler)  // mov ebx, ss; iretd
    guest.place([0xF4], at: Place.handler + 0x100)
    guest[Place.tss + 4] = 0x1_E000 | Selector.data << 32
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rbx == Selector.data)
    #expect(guest.vmcs[.guestRSP] == 0x1_E000 - 20)
    let words = (0..<5).map {
      guest.memory.load(PhysicalAddress<L0>(0x1_E000 - 20 + $0 * 4), as: UInt32.self)
    }
    #expect(
      words == [
        UInt32(Place.code + 2), UInt32(Selector.userCode32 | 3), 0x1_0002, UInt32(Place.stack),
        UInt32(Selector.userData | 3),
      ])
  }

  @Test func singleStep() throws {
    // pushfq; or qword [rsp], 100h; popfq; nop; nop
    let guest = try SystemGuest([0x9C, 0x48, 0x81, 0x0C, 0x24, 0, 1, 0, 0, 0x9D, 0x90, 0x90])
    guest.setGate(1, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(frame(guest)[0] == Place.code + 11, "behind the first NOP after POPF")
    #expect(guest.registers.pointee.dr6 == 0xFFFF_4FF0)
    #expect(guest.vmcs[.guestRFLAGS] & 0x100 == 0)
  }

  @Test func externalInterruptWaitsForIFAndTheShadow() throws {
    let guest = try SystemGuest([0x90, 0xFB, 0x90, 0x90, 0xF4])  // nop; sti; nop; nop; hlt
    guest.setGate(0x40, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.cpu.externalInterrupt = 0x40
    guest.expectExit(.hlt)
    #expect(frame(guest)[0] == Place.code + 3, "after the instruction that follows STI")
    #expect(guest.cpu.externalInterrupt == nil)
  }

  @Test func interruptWakesFromHLT() throws {
    let guest = try SystemGuest([0xFB, 0xF4, 0x90])
    guest.vmcs.primaryProcessorBasedControls.remove(.hltExiting)
    guest.setGate(0x40, to: Place.handler)
    guest.place([0x0F, 0xA2], at: Place.handler)  // cpuid
    #expect(guest.run() == .stopped(.idle))
    guest.cpu.externalInterrupt = 0x40
    guest.expectExit(.cpuid)
    #expect(frame(guest)[0] == Place.code + 2)
    #expect(guest.vmcs[.guestActivityState] == 0)
  }

  @Test func nmiBlocksItselfUntilIRET() throws {
    let guest = try SystemGuest([0x90, 0x0F, 0xA2])
    guest.setGate(2, to: Place.handler)
    guest.place([0x0F, 0xA2, 0x48, 0xCF], at: Place.handler)  // cpuid; iretq
    guest.cpu.isNMIPending = true
    guest.expectExit(.cpuid)
    #expect(guest.vmcs.interruptibilityState == .blockingByNMI)
    guest.cpu.isNMIPending = true
    guest.vmcs[.guestRIP] += 2
    guest.expectExit(.cpuid)
    #expect(guest.vmcs[.guestRIP] == Place.handler, "the second NMI came right after IRET")
  }

  @Test func protectedModeTaskGateIsATaskSwitch() throws {
    let guest = try SystemGuest([0xCD, 0x22])
    guest.enterProtectedMode()
    guest.setGate32(0x22, to: 0, selector: Selector.tss, type: 0x85)
    guest.expectExit(.taskSwitch)
    #expect(guest.vmcs[.exitQualification] == 3 << 30 | Selector.tss)
    #expect(guest.vmcs[.idtVectoringInformation] == 0x8000_0400 | 0x22)
    #expect(guest.vmcs[.exitInstructionLength] == 2)
  }
}
