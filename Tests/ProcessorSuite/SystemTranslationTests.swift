import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// Paging, EPT, and what the software TLB must forget.
@Suite(.onTestedProcessor) struct SystemTranslationTests {
  /// mov [data], rax; hlt, with rbx holding the address.
  private static let store: [UInt8] = [0x48, 0x89, 0x03, 0xF4]
  private static let load: [UInt8] = [0x48, 0x8B, 0x03, 0xF4]

  private func guest(_ code: [UInt8], address: UInt64) throws -> SystemGuest {
    let guest = try SystemGuest(code)
    guest.enableEPT()
    guest.registers.pointee.rbx = address
    return guest
  }

  @Test func eptViolationOfAnAccess() throws {
    for (code, permissions, qualification) in [
      // Bits 10 and 9: the linear address is a writable user-mode one.
      (Self.store, UInt64(0), UInt64(0x782)), (Self.load, 0, 0x781), (Self.store, 5, 0x7AA),
      (Self.load, 4, 0x7A1),
    ] {
      let guest = try guest(code, address: 0x20_0010)
      guest[Place.eptPD + 8] = guest[Place.eptPD + 8] & ~7 | permissions
      guest.expectExit(.eptViolation)
      #expect(guest.vmcs[.exitQualification] == qualification)
      #expect(guest.vmcs[.guestPhysicalAddress] == 0x20_0010)
      #expect(guest.vmcs[.guestLinearAddress] == 0x20_0010)
      #expect(guest.vmcs[.guestRIP] == Place.code)
      #expect(guest.vmcs[.guestRFLAGS] == 0x1_0002)
      // Repaired, the instruction completes; INVEPT is not needed after a violation.
      guest[Place.eptPD + 8] = 0x20_00B7
      guest.expectExit(.hlt)
    }
  }

  /// SDM, "Operations that Invalidate Cached Mappings": what the violation forbade may map another page afterwards.
  @Test func eptViolationForgetsTheMapping() throws {
    let guest = try guest([0x48, 0x8B, 0x03, 0x48, 0x89, 0x03, 0xF4], address: 0x20_0010)  // load; store; hlt
    guest.enable(.enableVPID)
    guest.vmcs[.vpid] = 1
    guest[0x20_0010] = 0x5678
    guest[0x10] = 0x1234
    guest[Place.eptPD + 8] = 0x20_00B5
    guest.expectExit(.eptViolation)
    #expect(guest.registers.pointee.rax == 0x5678)
    guest[Place.eptPD + 8] = 0x00_00B7
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 0x1234)
  }

  @Test func eptViolationOfAFetch() throws {
    let guest = try guest([0xFF, 0xE3], address: 0x20_0000)  // jmp rbx
    guest[Place.eptPD + 8] &= ~4
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.exitQualification] == 0x79C)
    #expect(guest.vmcs[.guestRIP] == 0x20_0000)
    #expect(guest.cpu.clock.pointee.instructions == 1)
  }

  @Test func eptViolationOfAPageWalk() throws {
    let guest = try guest(Self.load, address: 0x4000_0000)
    guest[Place.pdpt + 8] = 0x20_0000 | 7
    guest[Place.eptPD + 8] = 0
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.exitQualification] == 0x081, "a read, for the translation of a linear address")
    #expect(guest.vmcs[.guestPhysicalAddress] == 0x20_0000)
    #expect(guest.vmcs[.guestLinearAddress] == 0x4000_0000)
  }

  @Test func settingAnAccessedFlagNeedsEPTWrite() throws {
    let guest = try guest(Self.load, address: 0x4000_0000)
    guest[Place.pdpt + 8] = 0x20_0000 | 0x27
    guest[0x20_0000] = 0x87
    guest[Place.eptPD + 8] &= ~2
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.exitQualification] == 0x0AB, "the flag is set by a read and a write")
  }

  /// SDM, "Mode-Based Execute Control": bit 2 is for fetches from supervisor-mode linear addresses, bit 10 for those from
  /// user-mode ones.
  @Test(arguments: [
    (UInt64(0x403), true, true), (0x403, false, false), (0x007, true, false), (0x007, false, true),
  ])
  func modeBasedExecuteControl(permissions: UInt64, isUser: Bool, isAllowed: Bool) throws {
    let guest = try guest([0xFF, 0xE3], address: 0x20_0000)  // jmp rbx
    guest.enable(.modeBasedExecuteControlForEPT)
    guest[0x20_0000] = 0xF4  // hlt
    for entry in [Place.eptPML4, Place.eptPDPT, Place.eptPD] { guest[entry] |= 1 << 10 }
    if !isUser { guest[Place.pd + 8] &= ~4 }
    guest[Place.eptPD + 8] = 0x20_00B0 | permissions
    if isAllowed { return guest.expectExit(.hlt) }
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.exitQualification] & 0x7F == Self.fetch(permissions))
    #expect((guest.vmcs[.exitQualification] & 1 << 9 != 0) == isUser)
  }

  private static func fetch(_ permissions: UInt64) -> UInt64 {
    4 | (permissions & 7) << 3 | (permissions >> 10 & 1) << 6
  }

  @Test func eptMisconfiguration() throws {
    let guest = try guest(Self.load, address: 0x20_0010)
    guest[Place.eptPD + 8] = 0x20_00B6 & ~4
    guest.expectExit(.eptMisconfiguration)
    #expect(guest.vmcs[.guestPhysicalAddress] == 0x20_0010)
  }

  @Test func eptAccessedAndDirtyFlags() throws {
    let guest = try guest(Self.store, address: 0x20_0010)
    guest.enableEPT(flags: true)
    guest.expectExit(.hlt)
    #expect(guest[Place.eptPD + 8] & 0x300 == 0x300)
    #expect(guest[Place.eptPD] & 0x300 == 0x300, "the guest's paging structures count as written")
    #expect(guest[Place.eptPML4] & 0x300 == 0x100)
  }

  /// Loads set accessed flags, stores dirty flags too, and again after both were cleared and INVEPT.
  @Test func eptFlagsAreThoseOfTheAccesses() throws {
    // mov rax, [rbx]; mov rcx, [rbx]; hlt; mov [rbx], rcx; mov [rbx], rcx; hlt
    let guest = try SystemGuest([
      0x48, 0x8B, 0x03, 0x48, 0x8B, 0x0B, 0xF4, 0x48, 0x89, 0x0B, 0x48, 0x89, 0x0B, 0xF4,
    ])
    guest.registers.pointee.rbx = 0x20_0010
    guest.enableEPT(flags: true)
    let leaf = Place.eptPD + 8
    for _ in 0..<3 {
      guest.vmcs[.guestRIP] = Place.code
      guest.expectExit(.hlt)
      #expect(guest[leaf] & 0x300 == 0x100, "loads")
      guest.vmcs[.guestRIP] = Place.code + 7
      guest.expectExit(.hlt)
      #expect(guest[leaf] & 0x300 == 0x300, "stores")
      guest[leaf] &= ~0x300
      guest[Place.eptPML4] &= ~0x100
      guest.cpu.invalidateEPT(.singleContext(eptp: guest.vmcs[.eptPointer]))
    }
    #expect(guest[Place.eptPML4] & 0x100 == 0)
  }

  @Test func pageFaultComesBeforeTheEPTViolationOfItsPage() throws {
    let guest = try guest(Self.store, address: 0x20_0010)
    guest[Place.pd + 8] &= ~2
    guest[Place.eptPD + 8] = 0
    guest.vmcs[.exceptionBitmap] = 1 << 14
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 3)
  }

  @Test func invlpgForgetsATranslation() throws {
    // mov rax, [rbx]; mov [rcx], rdx; invlpg [rbx]; mov rsi, [rbx]; hlt
    let guest = try SystemGuest([
      0x48, 0x8B, 0x03, 0x48, 0x89, 0x11, 0x0F, 0x01, 0x3B, 0x48, 0x8B, 0x33, 0xF4,
    ])
    guest.registers.pointee.rbx = 0x4000_0000
    guest[Place.pdpt + 8] = 0x10_0000 | 7
    guest[0x10_0000] = 0x20_0087
    guest[0x20_0000] = 0x1111
    guest[0x0] = 0x2222
    guest.registers.pointee.rcx = 0x10_0000
    guest.registers.pointee.rdx = 0x87
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == 0x1111)
    #expect(guest.registers.pointee.rsi == 0x2222)
  }

  @Test func invalidationByTheContract() throws {
    for scope in [EPTInvalidation.singleContext(eptp: Place.eptPML4 | 0x1E), .allContexts] {
      let guest = try guest(Self.load, address: 0x20_0010)
      guest.enable(.enableVPID)
      guest.vmcs[.vpid] = 5
      guest[0x20_0010] = 1
      guest[0x30_0010] = 2
      guest.expectExit(.hlt)
      guest[Place.eptPD + 8] = 0x30_00B7 & ~0x10_0000 | 0x20_0000  // unchanged
      guest[Place.eptPD + 8] = 0
      guest.cpu.invalidateEPT(scope)
      guest.vmcs[.guestRIP] = Place.code
      guest.expectExit(.eptViolation)
    }
  }

  @Test func userAndSupervisorPages() throws {
    let guest = try SystemGuest(Self.load)
    guest.enterUserMode()
    guest.registers.pointee.rbx = 0x20_0000
    guest[Place.pd + 8] &= ~4
    guest.vmcs[.exceptionBitmap] = 1 << 14
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 5)
  }

  @Test func smapHonoursAC() throws {
    // stac; mov rax, [rbx]; clac; mov rax, [rbx]
    let guest = try SystemGuest([
      0x0F, 0x01, 0xCB, 0x48, 0x8B, 0x03, 0x0F, 0x01, 0xCA, 0x48, 0x8B, 0x03,
    ])
    guest.vmcs[.guestCR4] |= CR4.smap.rawValue
    guest.registers.pointee.rbx = 0x20_0000
    guest[Place.pd] &= ~4
    guest.vmcs[.exceptionBitmap] = 1 << 14
    guest.expectExit(.exceptionOrNMI)
    #expect(guest.vmcs[.guestRIP] == Place.code + 9)
    #expect(guest.vmcs[.exitInterruptionErrorCode] == 1)
  }

  /// A guest that changes a mapping and writes CR3 more often than there are tags reads through the new one each time.
  @Test func eachWriteOfCR3ForgetsTheMappings() throws {
    // mov ecx, 3000; again: xor [r8], r9; mov cr3, rax; add rsi, [rbx]; dec ecx; jnz again; hlt
    let guest = try SystemGuest([
      0xB9, 0xB8, 0x0B, 0, 0, 0x4D, 0x31, 0x08, 0x0F, 0x22, 0xD8, 0x48, 0x03, 0x33, 0xFF, 0xC9, 0x75, 0xF3,
      0xF4,
    ])
    guest.registers.pointee.r8 = Place.pd + 8
    guest.registers.pointee.r9 = 0x20_0000
    guest.registers.pointee.rax = Place.pml4
    guest.registers.pointee.rbx = 0x20_0010
    guest[0x10] = 0x1_0000
    guest[0x20_0010] = 1
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rsi == 1500 * 0x1_0001)
  }

  /// SDM volume 3, "Operations that Invalidate Cached Mappings": after INVEPT the guest's tables are found where the EPT
  /// has moved them.
  @Test func inveptForgetsWhereTheGuestsTablesAre() throws {
    let guest = try SystemGuest([0x8A, 0x03, 0x8A, 0x0B, 0xF4])  // mov al, [rbx]; mov cl, [rbx]; hlt
    guest.enableEPT()
    guest.registers.pointee.rbx = Place.data
    guest[Place.data] = 0x11
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rcx & 0xFF == 0x11)
    // The first 2 MByte are now a copy of themselves, in whose tables the data are elsewhere.
    for address in stride(from: UInt64(0), to: 0x4_0000, by: 8) {
      guest[0x20_0000 + address] = guest[address]
    }
    guest[0x20_0000 + Place.data] = 0x22
    guest[Place.eptPD] = 0x20_0000 | 0xB7
    guest.cpu.invalidateEPT(.singleContext(eptp: guest.vmcs[.eptPointer]))
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rcx & 0xFF == 0x22)
  }

  /// The same for the page of an EPT violation, without INVEPT.
  @Test func anEPTViolationForgetsThePage() throws {
    // mov al, [rbx]; mov [rbx], al; mov cl, [rbx]; hlt
    let guest = try SystemGuest([0x8A, 0x03, 0x88, 0x03, 0x8A, 0x0B, 0xF4])
    guest.enableEPT()
    guest.registers.pointee.rbx = 0x20_0010
    guest[0x20_0010] = 0x33
    guest[Place.eptPD + 8] = 0x20_0000 | 0xB5
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.guestPhysicalAddress] == 0x20_0010)
    guest[Place.eptPD + 8] = 0xB7
    guest[0x10] = 0x44
    guest.vmcs[.guestRIP] = Place.code + 4
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rcx & 0xFF == 0x44)
  }

  @Test func longModeActivation() throws {
    // mov eax, cr4; or eax, 20h; mov cr4, eax; mov ecx, C0000080h; rdmsr; or eax, 100h; wrmsr;
    // mov eax, cr0; or eax, 80000000h; mov cr0, eax; ljmp 8:64-bit
    let guest = try SystemGuest([
      0x0F, 0x20, 0xE0, 0x83, 0xC8, 0x20, 0x0F, 0x22, 0xE0, 0xB9, 0x80, 0, 0, 0xC0, 0x0F, 0x32, 0x0D, 0, 1, 0,
      0,
      0x0F, 0x30, 0x0F, 0x20, 0xC0, 0x0D, 0, 0, 0, 0x80, 0x0F, 0x22, 0xC0, 0xEA, 0, 0x80, 1, 0, 8, 0,
    ])
    guest.enterProtectedMode()
    guest.enable(.useMSRBitmaps)
    guest.vmcs[.guestCR4] = 0x2000
    guest.place([0x48, 0x31, 0xC0, 0x48, 0xF7, 0xD0, 0xF4], at: 0x1_8000)  // xor rax, rax; not rax; hlt
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rax == .max)
    #expect(guest.vmcs[.guestEFER] == 0x500)
    #expect(guest.vmcs.entryControls.contains(.ia32eModeGuest), "kept in step with EFER.LMA")
    #expect(guest.vmcs[.guestCSAccessRights] == 0xA09B)
  }
}
