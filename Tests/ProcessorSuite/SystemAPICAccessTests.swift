import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// Accesses to the APIC-access page (SDM volume 3, "Virtualizing Memory-Mapped APIC Accesses").
@Suite(.onTestedProcessor) struct SystemAPICAccessTests {
  /// `mov ecx, [rax+offset]`
  private static func read(_ offset: UInt32) -> [UInt8] { [0x8B, 0x88] + bytes(offset) }
  /// `mov [rax+offset], ecx`
  private static func write(_ offset: UInt32) -> [UInt8] { [0x89, 0x88] + bytes(offset) }

  private static func bytes(_ value: UInt32) -> [UInt8] {
    [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private static let registers = stride(from: UInt32(0), to: 0x400, by: 0x10)

  /// The registers that APIC-register virtualization lets a guest read, and those that it lets it write.
  private static let writable: Set<UInt32> = [
    0x020, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370,
    0x380, 0x3E0,
  ]
  private static let readable = writable.union([0x030]).union(stride(from: 0x100, to: 0x280, by: 0x10))

  // MARK: Which are virtualized

  @Test func withoutTPRShadowEveryAccessExits() throws {
    for offset: UInt32 in [0, 0x80, 0x300, 0xFF0] {
      let reading = try VirtualAPICGuest(Self.read(offset), .virtualizeAPICAccesses, tprShadow: false)
      reading.expectAPICAccess(.linearRead, UInt16(offset))
      #expect(reading.vmcs[.guestRIP] == Place.code && reading.vmcs[.exitInstructionLength] == 6)
      #expect(reading.vmcs[.guestRFLAGS] & RFLAGS.rf.rawValue != 0)
      let writing = try VirtualAPICGuest(Self.write(offset), .virtualizeAPICAccesses, tprShadow: false)
      writing.expectAPICAccess(.linearWrite, UInt16(offset))
      #expect(writing.vmcs[.exitInstructionLength] == 6)
    }
  }

  @Test func withTheShadowAloneTheTaskPriorityIsVirtualized() throws {
    for offset in Self.registers {
      let reading = try VirtualAPICGuest(Self.read(offset), .virtualizeAPICAccesses)
      reading[UInt64(offset)] = 0x3141_5962
      if offset == 0x80 {
        reading.expectEnd()
        #expect(reading.registers.pointee.rcx == 0x3141_5962)
      } else {
        reading.expectAPICAccess(.linearRead, UInt16(offset))
      }
      let writing = try VirtualAPICGuest(Self.write(offset), .virtualizeAPICAccesses)
      writing.registers.pointee.rcx = 0x1234_5678
      if offset == 0x80 {
        writing.expectEnd()
        #expect(writing[0x80] == 0x78, "the upper three bytes are cleared")
      } else {
        writing.expectAPICAccess(.linearWrite, UInt16(offset))
      }
    }
  }

  @Test func registersAreVirtualized() throws {
    let controls: SecondaryProcessorBasedControls = [.virtualizeAPICAccesses, .apicRegisterVirtualization]
    for offset in Self.registers {
      let reading = try VirtualAPICGuest(Self.read(offset), controls)
      reading[UInt64(offset)] = 0xABCD
      if Self.readable.contains(offset) {
        reading.expectEnd()
        #expect(reading.registers.pointee.rcx == 0xABCD)
      } else {
        reading.expectAPICAccess(.linearRead, UInt16(offset))
      }
      let writing = try VirtualAPICGuest(Self.write(offset), controls)
      writing.registers.pointee.rcx = 0x1200_0034
      switch offset {
      case _ where !Self.writable.contains(offset): writing.expectAPICAccess(.linearWrite, UInt16(offset))
      case 0x80, 0x310:
        writing.expectEnd()
        #expect(writing[UInt64(offset)] == (offset == 0x80 ? 0x34 : 0x1200_0000))
      default:
        writing.expectExit(.apicWrite, qualification: UInt64(offset))
        #expect(writing[UInt64(offset)] == 0x1200_0034)
        #expect(writing.vmcs[.guestRIP] == Place.code + 6, "the exit is behind the instruction")
      }
    }
  }

  @Test func withVirtualInterruptsThreeRegistersAreWritten() throws {
    let controls: SecondaryProcessorBasedControls = [.virtualizeAPICAccesses, .virtualInterruptDelivery]
    for offset in Self.registers {
      let writing = try VirtualAPICGuest(Self.write(offset), controls)
      switch offset {
      case 0x80, 0xB0: writing.expectEnd()
      // What ECX holds, 0, is no self-IPI.
      case 0x300: writing.expectExit(.apicWrite, qualification: 0x300)
      default: writing.expectAPICAccess(.linearWrite, UInt16(offset))
      }
    }
  }

  /// A size or place of an access, as code, and whether it is within one register.
  private struct Shape {
    var code: [UInt8]
    var offset: UInt16
    var isRead: Bool
    var isVirtualized: Bool
  }

  private static let shapes: [Shape] = [
    // mov cl, [rax+83h]; mov cx, [rax+82h]; mov cx, [rax+83h]; mov rcx, [rax+80h]
    Shape(code: [0x8A, 0x88, 0x83, 0, 0, 0], offset: 0x83, isRead: true, isVirtualized: true),
    Shape(code: [0x66, 0x8B, 0x88, 0x82, 0, 0, 0], offset: 0x82, isRead: true, isVirtualized: true),
    Shape(code: [0x66, 0x8B, 0x88, 0x83, 0, 0, 0], offset: 0x83, isRead: true, isVirtualized: false),
    Shape(code: [0x48, 0x8B, 0x88, 0x80, 0, 0, 0], offset: 0x80, isRead: true, isVirtualized: false),
    // movups xmm0, [rax+80h]; mov ecx, [rax+84h]
    Shape(code: [0x0F, 0x10, 0x80, 0x80, 0, 0, 0], offset: 0x80, isRead: true, isVirtualized: false),
    Shape(code: [0x8B, 0x88, 0x84, 0, 0, 0], offset: 0x84, isRead: true, isVirtualized: false),
    // mov [rax+81h], cl; mov [rax+80h], rcx; movups [rax+80h], xmm0; or dword [rax+80h], 10h; push qword at [rax+88h]
    Shape(code: [0x88, 0x88, 0x81, 0, 0, 0], offset: 0x81, isRead: false, isVirtualized: true),
    Shape(code: [0x48, 0x89, 0x88, 0x80, 0, 0, 0], offset: 0x80, isRead: false, isVirtualized: false),
    Shape(code: [0x0F, 0x11, 0x80, 0x80, 0, 0, 0], offset: 0x80, isRead: false, isVirtualized: false),
    Shape(code: [0x83, 0x88, 0x80, 0, 0, 0, 0x10], offset: 0x80, isRead: false, isVirtualized: true),
    Shape(code: [0x48, 0x8D, 0xA0, 0x88, 0, 0, 0, 0x51], offset: 0x80, isRead: false, isVirtualized: false),
  ]

  @Test(arguments: shapes.indices) func accessesLieInOneRegister(_ index: Int) throws {
    let shape = Self.shapes[index]
    let guest = try VirtualAPICGuest(shape.code, [.virtualizeAPICAccesses, .apicRegisterVirtualization])
    guest.vmcs[.guestCR4] |= CR4.osfxsr.rawValue
    if shape.isVirtualized {
      guest.expectEnd()
    } else {
      guest.expectAPICAccess(shape.isRead ? .linearRead : .linearWrite, shape.offset)
    }
  }

  @Test func aReadModifyWriteIsVirtualizedOnce() throws {
    let guest = try VirtualAPICGuest(
      [0x83, 0x88, 0x80, 0, 0, 0, 0x10], [.virtualizeAPICAccesses, .apicRegisterVirtualization])
    guest[0x80] = 0x25
    guest.expectEnd()
    #expect(guest[0x80] == 0x35)
    #expect(guest.guest.cpu.clock.pointee.instructions == 1)
  }

  @Test func everyInstructionBeforeAndAfterAWriteIsExecutedOnce() throws {
    // inc edx; mov [rax+80h], ecx; inc edx; mov [rax+80h], ecx; inc edx
    let code: [UInt8] = [0xFF, 0xC2] + Self.write(0x80) + [0xFF, 0xC2] + Self.write(0x80) + [0xFF, 0xC2]
    let guest = try VirtualAPICGuest(code, .virtualizeAPICAccesses)
    guest.expectEnd()
    #expect(guest.registers.pointee.rdx == 3)
    #expect(guest.guest.cpu.clock.pointee.instructions == 5)
  }

  @Test func stringInstructionsAreVirtualizedElementByElement() throws {
    // rep stosd at 80h: the second element is outside of the register.
    let guest = try VirtualAPICGuest([0xF3, 0xAB], .virtualizeAPICAccesses)
    guest.registers.pointee.rax = 0x42
    guest.registers.pointee.rcx = 3
    guest.registers.pointee.rdi = VirtualAPICGuest.apicAccess + 0x80
    guest.expectAPICAccess(.linearWrite, 0x84)
    #expect(guest[0x80] == 0x42 && guest.registers.pointee.rcx == 2)
    #expect(guest.registers.pointee.rdi == VirtualAPICGuest.apicAccess + 0x84)
    #expect(guest.guest[VirtualAPICGuest.apicAccess + 0x80] == 0, "the page itself is never accessed")
  }

  // MARK: Other ways to the page

  @Test func fetchesExit() throws {
    let guest = try VirtualAPICGuest([0xFF, 0xE0], .virtualizeAPICAccesses)
    guest.expectAPICAccess(.linearFetch, 0)
    #expect(guest.vmcs[.guestRIP] == VirtualAPICGuest.apicAccess)
  }

  @Test func theAccessOfAnEventDeliverySaysSo() throws {
    // int 51h, with the stack in the page.
    let guest = try VirtualAPICGuest([0xCD, 0x51], .virtualizeAPICAccesses)
    guest.vmcs[.guestRSP] = VirtualAPICGuest.apicAccess + 0x800
    guest.expectAPICAccess(.linearDuringEventDelivery, 0x7F8)
    #expect(guest.vmcs.idtVectoringInformation.vector == 0x51 && guest.vmcs.idtVectoringInformation.isValid)
    #expect(guest.vmcs[.exitInstructionLength] == 2)
  }

  @Test func pagingStructuresInThePageExitWithEPT() throws {
    for ept in [false, true] {
      let guest = try VirtualAPICGuest([0x90], .virtualizeAPICAccesses, ept: ept)
      // The page directory is the APIC-access page.
      for index in 0..<UInt64(512) {
        guest.guest[VirtualAPICGuest.apicAccess + index * 8] = guest.guest[Place.pd + index * 8]
      }
      guest.guest[Place.pdpt] = VirtualAPICGuest.apicAccess | 7
      if ept {
        guest.expectExit(.apicAccess)
        let qualification = APICAccessQualification(rawValue: guest.vmcs[.exitQualification])
        #expect(qualification.access == .guestPhysicalDuringInstruction)
      } else {
        guest.expectEnd()
      }
    }
  }

  @Test func withEPTThePageIsKnownByItsHostAddress() throws {
    let guest = try VirtualAPICGuest(Self.read(0x80), .virtualizeAPICAccesses, ept: true)
    // Guest-physical 40_0000H leads to the page, and guest-physical 20_0000H elsewhere.
    guest.guest[Place.eptPD + 16] = 0x20_00B7
    guest.guest[Place.eptPD + 8] = 0xB7
    guest[0x80] = 0x66
    guest.registers.pointee.rax = 0x40_1000
    guest.expectEnd()
    #expect(guest.registers.pointee.rcx == 0x66)
  }

  @Test func pageFaultsAndEPTViolationsComeFirst() throws {
    let faulting = try VirtualAPICGuest(Self.write(0x80), .virtualizeAPICAccesses)
    faulting.guest[Place.pd + 8] = 0x20_0085
    faulting.vmcs[.exceptionBitmap] = 1 << 14
    faulting.expectExit(.exceptionOrNMI)
    let violating = try VirtualAPICGuest(Self.write(0x80), .virtualizeAPICAccesses, ept: true)
    violating.guest[Place.eptPD + 8] = 0x20_00B5
    violating.expectExit(.eptViolation)
  }

  @Test func anotherVMCSMayUseThePageAsMemory() throws {
    let guest = try VirtualAPICGuest(Self.read(0x80) + VirtualAPICGuest.end, .enableVPID)
    guest.vmcs[.vpid] = 1
    guest.guest[VirtualAPICGuest.apicAccess + 0x80] = 0x77
    guest.expectEnd()
    #expect(guest.registers.pointee.rcx == 0x77)
    guest.guest.enable(.virtualizeAPICAccesses)
    guest.vmcs[.guestRIP] = Place.code
    guest[0x80] = 0x88
    guest.expectEnd()
    #expect(guest.registers.pointee.rcx == 0x88, "the translation of before is not used")
  }
}
