import GuestMemory
import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place
private typealias Selector = SystemGuest.Selector

/// Virtual-8086 mode, its extensions, and the virtual interrupts of protected mode.
@Suite(.onTestedProcessor) struct SystemVirtual8086Tests {
  private static let redirectionMap: UInt64 = 0x68
  private static let vif = RFLAGS.vif.rawValue
  private static let vip = RFLAGS.vip.rawValue

  /// An 8086 program whose code segment is at ``Place/code`` and whose others are at ``Place/data``.
  private func guest(
    _ code: [UInt8], flags: UInt64, cr4: CR4 = .vme, stack: [UInt16] = []
  ) throws -> SystemGuest {
    let guest = try SystemGuest(code + [0x0F, 0xA2])
    guest.enterProtectedMode()
    guest.vmcs[.guestCR4] = 0x2000 | cr4.rawValue
    guest.vmcs[.guestRFLAGS] = 0x2_0002 | flags
    guest.setCode(Place.code >> 4, rights: 0xF3, base: Place.code, limit: 0xFFFF)
    guest.setData(Place.data >> 4, rights: 0xF3, base: Place.data, limit: 0xFFFF)
    guest.vmcs[.guestRIP] = 0
    guest.vmcs[.guestRSP] = 0x100
    for (position, word) in stack.enumerated() {
      guest.memory.store(word, at: PhysicalAddress<L0>(Place.data + 0x100 + UInt64(position) * 2))
    }
    guest.vmcs[.guestTRLimit] = 0xFF
    guest[Place.tss + 0x60] = (Self.redirectionMap + 32) << 48
    guest[Place.tss] = 0x1_E000 << 32
    guest[Place.tss + 8] = Selector.data
    // The program's own handler of interrupt 21H, and that of the operating system.
    guest[0x21 * 4] = (Place.handler >> 4) << 16
    guest.setGate32(0x21, to: Place.handler, type: 0xEE)
    guest.place([0x0F, 0xA2], at: Place.handler)
    guest.vmcs[.exceptionBitmap] = 1 << 13
    return guest
  }

  private func frame(_ guest: SystemGuest) -> [UInt16?] {
    let pointer = Place.data + guest.vmcs[.guestRSP]
    return (0..<3).map { guest.memory.load(PhysicalAddress<L0>(pointer + $0 * 2), as: UInt16.self) }
  }

  private func expectProtectionFault(_ guest: SystemGuest, sourceLocation: SourceLocation = #_sourceLocation)
  {
    guest.expectExit(.exceptionOrNMI, sourceLocation: sourceLocation)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B0D, sourceLocation: sourceLocation)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 0, sourceLocation: sourceLocation)
    #expect(guest.vmcs[.guestRIP] == 0, sourceLocation: sourceLocation)
    #expect(guest.vmcs[.guestRSP] == 0x100, sourceLocation: sourceLocation)
  }

  @Test func redirectedInterruptsGoToTheProgram() throws {
    let virtual = try guest([0xCD, 0x21], flags: Self.vif | 0x101)
    virtual.vmcs[.guestRFLAGS] &= ~0x100
    virtual.expectExit(.cpuid)
    #expect(virtual.vmcs[.guestCSBase] == Place.handler)
    #expect(virtual.vmcs[.guestCSSelector] == Place.handler >> 4)
    #expect(virtual.vmcs[.guestRIP] == 0)
    #expect(frame(virtual) == [2, UInt16(Place.code >> 4), 0x3203], "IF is VIF, and IOPL 3")
    #expect(virtual.vmcs[.guestRFLAGS] == 0x2_0003, "VIF is clear now")
    let own = try guest([0xCD, 0x21], flags: 0x3200)
    own.expectExit(.cpuid)
    #expect(own.vmcs[.guestCSBase] == Place.handler)
    #expect(frame(own) == [2, UInt16(Place.code >> 4), 0x3202])
    #expect(own.vmcs[.guestRFLAGS] == 0x2_3002)
  }

  @Test func otherInterruptsNeedIOPL3() throws {
    for cr4 in [CR4.vme, []] {
      let refused = try guest([0xCD, 0x21], flags: 0, cr4: cr4)
      refused[Place.tss + Self.redirectionMap] = 0xFF << 32
      expectProtectionFault(refused)
      let allowed = try guest([0xCD, 0x21], flags: 0x3200, cr4: cr4)
      allowed[Place.tss + Self.redirectionMap] = 0xFF << 32
      allowed.expectExit(.cpuid)
      #expect(allowed.vmcs[.guestCSSelector] == Selector.code32, "through the interrupt table")
      #expect(allowed.vmcs[.guestRFLAGS] & 0x2_0000 == 0)
    }
  }

  @Test func theRedirectionBitmapMustBeInTheTSS() throws {
    let guest = try guest([0xCD, 0x21], flags: 0)
    guest.vmcs[.guestTRLimit] = Self.redirectionMap + 3
    expectProtectionFault(guest)
  }

  @Test func injectedInterruptsAreNotRedirected() throws {
    let guest = try guest([], flags: 0)
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0421
    guest.vmcs[.entryInstructionLength] = 2
    guest.expectExit(.cpuid)
    #expect(guest.vmcs[.guestCSSelector] == Selector.code32)
  }

  @Test func cliAndSTIChangeVIF() throws {
    let set = try guest([0xFB], flags: 0)
    set.expectExit(.cpuid)
    #expect(set.vmcs[.guestRFLAGS] == 0x2_0002 | Self.vif)
    let clear = try guest([0xFA], flags: Self.vif | Self.vip | 0x200)
    clear.expectExit(.cpuid)
    #expect(clear.vmcs[.guestRFLAGS] == 0x2_0202 | Self.vip)
    expectProtectionFault(try guest([0xFB], flags: Self.vip))
    expectProtectionFault(try guest([0xFB], flags: 0, cr4: []))
    let privileged = try guest([0xFB], flags: 0x3000)
    privileged.expectExit(.cpuid)
    #expect(privileged.vmcs[.guestRFLAGS] == 0x2_3202, "IOPL 3 gives IF itself")
  }

  @Test func pushfAndPOPFShowVIFAsIF() throws {
    let pushed = try guest([0x9C], flags: Self.vif)
    pushed.expectExit(.cpuid)
    #expect(frame(pushed)[0] == 0x3202)
    let popped = try guest([0x9D], flags: 0, stack: [0x0ED7])
    popped.expectExit(.cpuid)
    #expect(popped.vmcs[.guestRFLAGS] == 0x2_0CD7 | Self.vif, "neither IF nor IOPL changes")
    expectProtectionFault(try guest([0x9D], flags: 0, stack: [0x100]))
    expectProtectionFault(try guest([0x9D], flags: Self.vip, stack: [0x200]))
    expectProtectionFault(try guest([0x66, 0x9C], flags: 0))
    expectProtectionFault(try guest([0x66, 0x9D], flags: 0))
    expectProtectionFault(try guest([0x9C], flags: 0, cr4: []))
  }

  @Test func iretReturnsInsideTheProgram() throws {
    let frame: [UInt16] = [0, UInt16(Place.handler >> 4), 0x0202]
    let guest = try guest([0xCF], flags: 0, stack: frame)
    guest.expectExit(.cpuid)
    #expect(guest.vmcs[.guestCSBase] == Place.handler)
    #expect(guest.vmcs[.guestRSP] == 0x106)
    #expect(guest.vmcs[.guestRFLAGS] == 0x2_0002 | Self.vif)
    expectProtectionFault(try self.guest([0xCF], flags: Self.vip, stack: frame))
    expectProtectionFault(try self.guest([0xCF], flags: 0, cr4: [], stack: frame))
    expectProtectionFault(try self.guest([0x66, 0xCF], flags: 0, stack: frame))
  }

  @Test func protectedModeHasVirtualInterruptsToo() throws {
    for (code, flags, cr4, expected) in [
      ([0xFB], UInt64(2), CR4.pvi, 2 | Self.vif), ([0xFA], 2 | Self.vif, .pvi, 2), ([0xFB], 2, [], nil),
      ([0xFA], 2, [], nil), ([0xFB], 2 | Self.vip, .pvi, nil),
    ] as [([UInt8], UInt64, CR4, UInt64?)] {
      let guest = try SystemGuest(code + [0x0F, 0xA2])
      guest.enterUserMode()
      guest.vmcs[.guestCR4] |= cr4.rawValue
      guest.vmcs[.guestRFLAGS] = flags
      guest.vmcs[.exceptionBitmap] = 1 << 13
      guest.expectExit(expected == nil ? .exceptionOrNMI : .cpuid)
      if let expected { #expect(guest.vmcs[.guestRFLAGS] == expected) }
    }
  }
}

/// SDM volume 3, "Information About NMI Unblocking Due to IRET".
@Suite(.onTestedProcessor) struct SystemNMIUnblockingTests {
  /// IRET whose stack is not mapped, while NMIs are blocked.
  private func guest(_ controls: PinBasedControls = [.nmiExiting, .virtualNMIs]) throws -> SystemGuest {
    let guest = try SystemGuest([0x48, 0xCF])
    guest.enable(controls)
    guest.vmcs.interruptibilityState = .blockingByNMI
    guest.vmcs[.guestRSP] = 0x8000_0000
    guest.vmcs[.exceptionBitmap] = 1 << 14
    return guest
  }

  @Test func anExceptionExitTellsOfIt() throws {
    let guest = try guest()
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_1B0E)
    #expect(guest.vmcs.interruptibilityState == [])
  }

  @Test func nothingIsToldWhereNothingWasUnblocked() throws {
    let open = try guest()
    open.vmcs.interruptibilityState = []
    open.expectExit(.exceptionOrNMI)
    #expect(open.vmcs[.exitInterruptionInformation] == 0x8000_0B0E)
    let physical = try guest(.nmiExiting)
    physical.expectExit(.exceptionOrNMI)
    #expect(physical.vmcs[.exitInterruptionInformation] == 0x8000_0B0E)
    #expect(physical.vmcs.interruptibilityState == .blockingByNMI, "IRET leaves real NMIs to the hypervisor")
  }

  @Test func anEPTViolationTellsOfIt() throws {
    let guest = try guest()
    guest.enableEPT()
    guest.vmcs[.guestRSP] = 0x20_1000
    guest[Place.eptPD + 8] = 0
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.exitQualification] & NMIUnblockingQualification.mask != 0)
    #expect(guest.vmcs.interruptibilityState == [])
    // The next instruction that violates tells nothing.
    guest.place([0xFF, 0x34, 0x24], at: Place.code)  // push qword [rsp]
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.exitQualification] & NMIUnblockingQualification.mask == 0)
  }

  @Test func aFaultThatIsDeliveredUnblocksToo() throws {
    let guest = try guest([])
    guest.vmcs[.exceptionBitmap] = 0
    guest.setGate(14, to: Place.handler, stackTable: 1)
    guest[Place.tss + 0x24] = Place.stack
    guest.place([0xF4], at: Place.handler)
    guest.expectExit(.hlt)
    #expect(guest.vmcs.interruptibilityState == [])
  }

  /// SDM volume 3, "Interrupt 18—Machine-Check Exception (#MC)": an abort without an error code, as injected.
  @Test func aMachineCheckIsDeliveredWithoutAnErrorCode() throws {
    let guest = try SystemGuest()
    guest.setGate(18, to: Place.handler)
    guest.place([0xF4], at: Place.handler)
    guest.vmcs[.entryInterruptionInformation] = 0x8000_0312
    guest.expectExit(.hlt)
    #expect(guest.vmcs[.guestRSP] == Place.stack - 40)
    #expect(guest[Place.stack - 40] == Place.code)
  }

  /// SDM volume 3, "Interrupt 8—Double Fault Exception (#DF)": the table of classes.
  @Test(arguments: [0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19] as [UInt64])
  func doubleFaultsByTheTable(first: UInt64) throws {
    let contributory: Set<UInt64> = [0, 10, 11, 12, 13]
    // Delivery of `first` meets #GP (a gate of a bad type), or #PF (a stack that is not mapped).
    for second in [UInt64(13), 14] {
      let guest = try SystemGuest()
      for vector in [UInt64(13), 14] { guest.setGate(vector, to: Place.handler) }
      guest.setGate(first, to: Place.handler, type: second == 13 ? 0x80 : 0x8E, stackTable: 1)
      guest[Place.tss + 0x24] = 0x8000_0000
      guest.place([0xF4], at: Place.handler)
      let hasCode = [8, 10, 11, 12, 13, 14, 17].contains(first)
      let kind: UInt64 = first == 3 || first == 4 ? 6 : 3
      guest.vmcs[.entryInterruptionInformation] = 0x8000_0000 | kind << 8 | first | (hasCode ? 0x800 : 0)
      guest.vmcs[.entryInstructionLength] = 1
      guest.vmcs[.exceptionBitmap] = 1 << 8
      switch first {
      case 8: guest.expectExit(.tripleFault)
      case 14,
        _ where contributory.contains(first) && second == 13:
        guest.expectExit(.exceptionOrNMI)
        #expect(guest.vmcs[.exitInterruptionInformation] == 0x8000_0B08, "\(first) then \(second)")
        #expect(guest.vmcs[.idtVectoringInformation] == 0, "the double fault causes the exit directly")
      default:
        guest.expectExit(.hlt)
        #expect(guest.vmcs[.guestRSP] == Place.stack - 48, "\(first) then \(second): the second's handler")
      }
    }
  }
}
