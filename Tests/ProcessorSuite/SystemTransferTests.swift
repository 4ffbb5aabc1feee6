import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place
private typealias Selector = SystemGuest.Selector

/// Far transfers, segment loads, fast system calls.
@Suite(.onTestedProcessor) struct SystemTransferTests {
  @Test func syscallAndSysret() throws {
    // The handler returns with SYSRET to user code, which faults.
    let guest = try SystemGuest([0x48, 0x0F, 0x07])  // sysretq
    guest[Place.list] = 0xC000_0081
    guest[Place.list + 8] = Selector.code64 << 32 | (Selector.userCode64 - 16) << 48
    guest[Place.list + 16] = 0xC000_0082
    guest[Place.list + 24] = Place.handler
    guest[Place.list + 32] = 0xC000_0084
    guest[Place.list + 40] = 0x200
    guest.vmcs[.entryMSRLoadAddress] = Place.list
    guest.vmcs[.entryMSRLoadCount] = 3
    guest.registers.pointee.rcx = Place.data
    guest.registers.pointee.r11 = 0x246
    guest.place([0x0F, 0x05], at: Place.data)  // syscall
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rcx == Place.data + 2)
    #expect(guest.registers.pointee.r11 == 0x246)
    #expect(guest.vmcs[.guestRFLAGS] == 0x46, "FMASK clears IF")
    #expect(guest.vmcs[.guestCSSelector] == Selector.code64)
    #expect(guest.vmcs[.guestSSSelector] == Selector.code64 + 8)
    #expect(guest.cpu.clock.pointee.instructions == 2)
  }

  @Test func sysenterAndSysexit() throws {
    let guest = try SystemGuest([0x0F, 0x34])
    guest.enterProtectedMode()
    guest.vmcs[.guestSysenterCS] = Selector.code32
    guest.vmcs[.guestSysenterEIP] = Place.handler
    guest.vmcs[.guestSysenterESP] = 0x1_E000
    guest.registers.pointee.rdx = Place.data
    guest.registers.pointee.rcx = 0x1_D000
    guest.place([0x0F, 0x35], at: Place.handler)
    guest.place([0x0F, 0xA2], at: Place.data)
    guest.expectExit(.cpuid)
    #expect(guest.vmcs[.guestCSSelector] == (Selector.code32 + 16) | 3)
    #expect(guest.vmcs[.guestRSP] == 0x1_D000)
    #expect(guest.vmcs[.guestRIP] == Place.data)
  }

  /// SDM volume 2, "IRET/IRETD/IRETQ—Interrupt Return": a data segment of a DPL below the new CPL becomes null. Its base
  /// stays, so that GS goes on to work in 64-bit mode.
  @Test func returnToAnOuterLevelKeepsTheBaseOfANulledSegment() throws {
    let guest = try SystemGuest([0x48, 0xCF])  // iretq
    let frame = [Place.data, Selector.userCode64 | 3, 2, Place.stack, Selector.userData | 3]
    for (index, value) in frame.enumerated() { guest[0x1_D000 + UInt64(index) * 8] = value }
    guest.vmcs[.guestRSP] = 0x1_D000
    guest.vmcs[.guestGSBase] = 0x3_1000
    guest[0x3_1008] = 0x1234
    // mov rax, gs:[8]; ud2
    guest.place([0x65, 0x48, 0x8B, 0x04, 0x25, 8, 0, 0, 0, 0x0F, 0x0B], at: Place.data)
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] & 0xFF == 6)
    #expect(guest.registers.pointee.rax == 0x1234)
    #expect(guest.vmcs[.guestGSSelector] == 0)
    #expect(guest.vmcs[.guestGSAccessRights] & 0x1_0000 != 0, "unusable")
    #expect(guest.vmcs[.guestGSBase] == 0x3_1000)
  }

  @Test func farCallAndReturnAcrossWidths() throws {
    // call far [rax] to 32-bit code, which returns.
    let guest = try SystemGuest([0xFF, 0x18, 0xF4])
    guest.registers.pointee.rax = Place.data
    guest[Place.data] = Place.handler | Selector.code32 << 32
    guest.place([0x40, 0xCB], at: Place.handler)  // inc eax (a REX prefix in 64-bit mode); retf
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == Place.data + 1)
    #expect(guest.vmcs[.guestCSSelector] == Selector.code64)
    #expect(guest.vmcs[.guestRSP] == Place.stack)
  }

  @Test func callGateToAnInnerLevel() throws {
    let guest = try SystemGuest([0x9A, 0, 0, 0, 0, 0x60, 0])  // call 60h:0
    guest.enterProtectedMode()
    guest.setCode(Selector.userCode32 | 3, rights: 0xC0FB)
    guest.setData(Selector.userData | 3, rights: 0xC0F3)
    guest[Place.gdt + 0x60] =
      Place.handler & 0xFFFF | Selector.code32 << 16 | 1 << 32 | 0xEC << 40 | (Place.handler >> 16) << 48
    guest[Place.tss + 4] = 0x1_E000 | Selector.data << 32
    guest[Place.stack] = 0xAAAA_BBBB
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == 0x1_E000 - 20)
    let words = (0..<5).map {
      guest.memory.load(PhysicalAddress<L0>(0x1_E000 - 20 + $0 * 4), as: UInt32.self)
    }
    #expect(
      words == [
        UInt32(Place.code + 7), UInt32(Selector.userCode32 | 3), 0xAAAA_BBBB, UInt32(Place.stack),
        UInt32(Selector.userData | 3),
      ])
  }

  @Test func farJumpToATSSIsATaskSwitch() throws {
    let guest = try SystemGuest([0xEA, 0, 0, 0, 0, 0x28, 0])
    guest.enterProtectedMode()
    guest.expectExit(.taskSwitch)
    #expect(guest.vmcs[.exitQualification] == 2 << 30 | Selector.tss)
    #expect(guest.vmcs[.exitInstructionLength] == 7)
  }

  /// SDM volume 3, "Treatment of Task Switches": the checks that come before the VM exit.
  @Test func aTaskSwitchIsCheckedBeforeItExits() throws {
    let tss: UInt64 = 0x0000_8900_0000_0067 | Place.tss << 16
    let busy: UInt64 = 0x0000_8B00_0000_0067 | Place.tss << 16
    // (source, descriptor of 60H, selector, vector, error code)
    for (isReturn, descriptor, selector, vector, code) in [
      (false, tss, UInt64(0x64), UInt64(13), UInt64(0x64)),  // a TSS of the LDT
      (false, tss, 0x100, 13, 0x100),  // outside the GDT
      (false, busy, 0x60, 13, 0x60), (false, tss & ~(1 << 47), 0x60, 11, 0x60),
      (false, tss - 1, 0x60, 10, 0x60),
      (false, 0x0000_8100_0000_002A, 0x60, 10, 0x60), (true, busy, 0x64, 10, 0x64),
      (true, busy, 0x100, 10, 0x100),
      (true, tss, 0x60, 10, 0x60), (true, busy & ~(1 << 47), 0x60, 11, 0x60),
      (true, busy - 1, 0x60, 10, 0x60),
    ] {
      let guest = try SystemGuest(isReturn ? [0xCF] : [0x9A, 0, 0, 0, 0, 0x68, 0])
      guest.enterProtectedMode()
      guest[Place.gdt + 0x60] = descriptor
      guest[Place.gdt + 0x68] = 0x8500 << 32 | selector << 16
      guest[Place.tss] = selector
      if isReturn { guest.vmcs[.guestRFLAGS] = 0x4002 }
      guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
      guest.expectExit(.exceptionOrNMI)
      #expect(guest.vmcs[.exitInterruptionInformation] & 0xFF == vector, "\(isReturn) \(selector)")
      #expect(guest.vmcs[.exitInterruptionErrorCode] == code, "\(isReturn) \(selector)")
      #expect(guest.vmcs[.guestRIP] == Place.code)
    }
  }

  @Test func aReturnToTheNestedTaskIsATaskSwitch() throws {
    let guest = try SystemGuest([0xCF])
    guest.enterProtectedMode()
    guest[Place.gdt + 0x60] = 0x0000_8B00_0000_0067 | Place.tss << 16
    guest[Place.tss] = 0x60
    guest.vmcs[.guestRFLAGS] = 0x4002
    guest.expectExit(.taskSwitch)
    #expect(guest.vmcs[.exitQualification] == 1 << 30 | 0x60)
    #expect(guest.vmcs[.exitInstructionLength] == 1)
  }

  @Test func anInterruptThroughABadTaskGateFaultsAsExternal() throws {
    let guest = try SystemGuest([0x90])
    guest.enterProtectedMode()
    guest.vmcs[.guestRFLAGS] = 0x202
    guest.setGate32(0x40, to: 0, selector: 0x100, type: 0x85)
    guest.cpu.externalInterrupt = 0x40
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B0D)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 0x101)
    #expect(guest.vmcs[.idtVectoringInformation] == 0x8000_0040)
  }

  @Test func segmentLoadFaults() throws {
    // (selector, register's ModRM, vector, error code)
    for (selector, modRM, vector, code) in [
      (UInt64(0x100), UInt8(0xD8), UInt64(13), UInt64(0x100)),  // outside the GDT
      (0, 0xD0, 13, 0),  // null SS at CPL 3
      (Selector.data, 0xD8, 13, 0x10),  // DPL 0 at CPL 3
      (Selector.tss, 0xD8, 13, 0x28),  // a system segment
      (0x70 | 3, 0xD8, 11, 0x70),  // not present
      (0x70 | 3, 0xD0, 12, 0x70),
      (Selector.userData, 0xD0, 13, 0x20),  // SS with the wrong RPL
    ] {
      let guest = try SystemGuest([0x8E, modRM])
      guest.enterUserMode()
      guest[Place.gdt + 0x70] = 0x00CF_7300_0000_FFFF
      guest.registers.pointee.rax = selector
      guest.vmcs[.exceptionBitmap] = .max & 0xFFFF_FFFF
      guest.expectExit(.exceptionOrNMI)
      #expect(guest.vmcs[.exitInterruptionInformation] & 0xFF == vector, "selector \(selector)")
      #expect(guest.vmcs[.exitInterruptionErrorCode] == code, "selector \(selector)")
    }
  }

  @Test func segmentLoadSetsTheAccessedFlag() throws {
    let guest = try SystemGuest([0x8E, 0xE0, 0xF4])  // mov fs, ax
    guest[Place.gdt + 0x70] = 0x1240_F200_3456_FFFF
    guest.registers.pointee.rax = 0x70
    guest.expectExit(.hlt)
    #expect(guest[Place.gdt + 0x70] == 0x1240_F300_3456_FFFF)
    #expect(guest.vmcs[.guestFSBase] == 0x1200_3456)
    #expect(guest.vmcs[.guestFSLimit] == 0xFFFF)
    #expect(guest.vmcs[.guestFSAccessRights] == 0x40F3)
  }

  @Test func ltrMarksTheTSSBusy() throws {
    let guest = try SystemGuest([0x0F, 0x00, 0xD8, 0x0F, 0x00, 0xC9, 0xF4])  // ltr ax; str ecx
    guest.registers.pointee.rax = Selector.tss
    guest[Place.gdt + 0x30] = 0x1234
    guest.expectExit(.hlt)
    #expect(guest[Place.gdt + Selector.tss] >> 40 & 0xFF == 0x8B)
    #expect(guest.vmcs[.guestTRBase] == 0x1234_0000_0000 | Place.tss)
    #expect(guest.registers.pointee.rcx == Selector.tss)
  }

  @Test func larLSLVerrVerw() throws {
    // lar ecx, ax; lsl edx, ax; verr ax; setz bl; verw ax; setz bh
    let guest = try SystemGuest([
      0x0F, 0x02, 0xC8, 0x0F, 0x03, 0xD0, 0x0F, 0x00, 0xE0, 0x0F, 0x94, 0xC3, 0x0F, 0x00, 0xE8, 0x0F, 0x94,
      0xC7, 0xF4,
    ])
    guest.registers.pointee.rax = Selector.code64
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rcx == 0x00AF_9B00 & 0x00F0_FF00)
    #expect(guest.registers.pointee.rdx == 0xFFFF_FFFF)
    #expect(guest.registers.pointee.rbx == 1)
  }

  @Test func lgdtAndSidt() throws {
    // lgdt [rax]; sidt [rax+16]; hlt
    let guest = try SystemGuest([0x0F, 0x01, 0x10, 0x0F, 0x01, 0x48, 0x10, 0xF4])
    guest.registers.pointee.rax = Place.data
    guest.place([0x34, 0x12, 1, 2, 3, 4, 5, 0, 0, 0], at: Place.data)
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestGDTRLimit] == 0x1234)
    #expect(guest.vmcs[.guestGDTRBase] == 0x05_0403_0201)
    #expect(guest[Place.data + 16] == Place.idt << 16 | 0xFFF)
  }

  @Test func virtual8086() throws {
    // iretd to virtual-8086 mode, whose INT 10h (IOPL 0) is a #GP.
    let guest = try SystemGuest([0xCF])
    guest.enterProtectedMode()
    guest.setGate32(13, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.guestRSP] = Place.data
    guest[Place.tss + 4] = 0x1_E000 | Selector.data << 32
    for (offset, value) in [UInt64(0x10), 0x900, 0x2_0002, 0x100, 0x700, 0x701, 0x702, 0x703, 0x704]
      .enumerated()
    {
      _ = guest.memory.store(UInt32(value), at: PhysicalAddress<L0>(Place.data + UInt64(offset) * 4))
    }
    guest.place([0xCD, 0x10], at: 0x9010)
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == 0x1_E000 - 40)
    let words = (0..<10).map {
      guest.memory.load(PhysicalAddress<L0>(0x1_E000 - 40 + $0 * 4), as: UInt32.self)
    }
    #expect(words == [0, 0x10, 0x900, 0x3_0002, 0x100, 0x700, 0x701, 0x702, 0x703, 0x704])
    #expect(guest.vmcs[.guestDSAccessRights] == 0x1_0000)
  }

  /// An instruction that is no branch leads nowhere by its immediate, not even by the greatest.
  @Test func immediatesOfOtherInstructionsAreNoTargets() throws {
    let greatest: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
    let guest = try SystemGuest([0x48, 0xB8] + greatest + [0xF4])  // mov rax, 7FFFFFFFFFFFFFFFH; hlt
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == UInt64(Int64.max))
  }
}
