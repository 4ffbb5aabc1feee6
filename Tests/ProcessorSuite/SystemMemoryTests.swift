import GuestMemory
import Processor
import SoftwareProcessor
import Testing
import VMX
import X86

private typealias Place = SystemGuest.Place

/// A guest with two address spaces, whose linear page ``page`` is another physical page in each. It executes one piece
/// of code after another, and keeps its translations in between.
private struct TwoSpaces {
  let guest: SystemGuest

  static let page: UInt64 = 0x4000_0000
  static let first: UInt64 = Place.pml4
  static let second: UInt64 = 0x10_2000
  /// The page-table entries of ``page`` in the two.
  static let firstEntry: UInt64 = 0x10_1000
  static let secondEntry: UInt64 = 0x10_5000
  /// Physical pages, each with its own number in its first word.
  static let pages: [UInt64] = [0x18_0000, 0x18_1000, 0x18_2000]

  init(_ cr4: CR4 = [], memorySize: UInt64 = 4 << 20) throws {
    guest = try SystemGuest(memorySize: memorySize)
    guest.enable([.enableVPID, .enableINVPCID])
    guest.vmcs[.vpid] = 1
    guest.vmcs[.guestCR4] |= cr4.rawValue
    guest.vmcs[.exceptionBitmap] = 0xFFFF_FFFF
    guest[Place.pdpt + 8] = 0x10_0003
    guest[0x10_0000] = 0x10_1003
    guest[Self.second] = 0x10_3003
    guest[0x10_3000] = Place.pd | 3
    guest[0x10_3008] = 0x10_4003
    guest[0x10_4000] = 0x10_5003
    guest[Self.firstEntry] = Self.pages[0] | 3
    guest[Self.secondEntry] = Self.pages[1] | 3
    for (number, page) in Self.pages.enumerated() { guest[page] = UInt64(number) }
  }

  /// Executes `code`; returns the vector of the exception that it raised, or nil.
  @discardableResult
  func execute(_ code: [UInt8], rax: UInt64 = 0, _ prepare: (SystemGuest) -> Void = { _ in }) -> UInt64? {
    guest.place(code + [0xF4], at: Place.code)
    guest.vmcs[.guestRIP] = Place.code
    guest.registers.pointee.rax = rax
    guest.registers.pointee.rbx = Self.page
    prepare(guest)
    guard guest.run() == .exit(ExitReasonField(.hlt)) else {
      return guest.vmcs[.exitInterruptionInformation] & 0xFF
    }
    return nil
  }

  /// The number of the physical page that ``page`` is now.
  func number() -> UInt64 {
    #expect(execute([0x48, 0x8B, 0x0B]) == nil)  // mov rcx, [rbx]
    return guest.registers.pointee.rcx
  }

  @discardableResult
  func moveToCR3(_ value: UInt64) -> UInt64? { execute([0x0F, 0x22, 0xD8], rax: value) }

  @discardableResult
  func moveToCR4(_ value: CR4) -> UInt64? { execute([0x0F, 0x22, 0xE0], rax: 0x2020 | value.rawValue) }

  func invlpg() { execute([0x0F, 0x01, 0x3B]) }

  /// INVPCID of `type` with a descriptor in memory.
  @discardableResult
  func invpcid(_ type: UInt64, _ descriptor: UInt64, _ address: UInt64 = 0) -> UInt64? {
    guest[Place.data] = descriptor
    guest[Place.data + 8] = address
    return execute([0x66, 0x0F, 0x38, 0x82, 0x07], rax: type) { $0.registers.pointee.rdi = Place.data }
  }
}

/// What the processor must forget, and where its memory is.
@Suite(.onTestedProcessor) struct SystemMemoryTests {
  private static let noFlush: UInt64 = 1 << 63

  @Test func addressSpacesOfOtherPCIDsAreApart() throws {
    let spaces = try TwoSpaces(.pcide)
    spaces.moveToCR3(TwoSpaces.first | 1)
    #expect(spaces.number() == 0)
    spaces.moveToCR3(TwoSpaces.second | 2 | Self.noFlush)
    #expect(spaces.number() == 1)
    #expect(spaces.guest.vmcs[.guestCR3] == TwoSpaces.second | 2, "bit 63 is no part of CR3")
    spaces.moveToCR3(TwoSpaces.first | 1 | Self.noFlush)
    #expect(spaces.number() == 0)
  }

  @Test func movToCR3ForgetsItsPCIDUnlessToldNotTo() throws {
    let spaces = try TwoSpaces(.pcide)
    spaces.moveToCR3(TwoSpaces.first | 1)
    #expect(spaces.number() == 0)
    spaces.guest[TwoSpaces.firstEntry] = TwoSpaces.pages[2] | 3
    spaces.moveToCR3(TwoSpaces.first | 1)
    #expect(spaces.number() == 2)
    #expect(try TwoSpaces().moveToCR3(TwoSpaces.first | Self.noFlush) == 13, "bit 63 without CR4.PCIDE")
  }

  /// SDM volume 2, "INVPCID—Invalidate Process-Context Identifier".
  @Test(arguments: [0, 1, 2, 3] as [UInt64])
  func invpcidForgets(type: UInt64) throws {
    let spaces = try TwoSpaces([.pcide, .pge])
    spaces.guest[TwoSpaces.firstEntry] |= type == 2 ? 1 << 8 : 0
    spaces.moveToCR3(TwoSpaces.first | 1)
    #expect(spaces.number() == 0)
    spaces.guest[TwoSpaces.firstEntry] = TwoSpaces.pages[2] | 3
    spaces.moveToCR3(TwoSpaces.second | 2 | Self.noFlush)
    #expect(spaces.invpcid(type, type < 2 ? 1 : 0, TwoSpaces.page) == nil)
    spaces.moveToCR3(TwoSpaces.first | 1 | Self.noFlush)
    #expect(spaces.number() == 2)
  }

  @Test func invpcidChecksItsOperands() throws {
    let spaces = try TwoSpaces(.pcide)
    for type in UInt64(0)...3 { #expect(spaces.invpcid(type, 1 << 12) == 13, "reserved bits, type \(type)") }
    #expect(spaces.invpcid(4, 0) == 13)
    #expect(spaces.invpcid(0, 1, 1 << 63) == 13, "not canonical")
    #expect(spaces.invpcid(1, 1, 1 << 63) == nil, "which only type 0 looks at")
    let without = try TwoSpaces()
    #expect(without.invpcid(0, 1) == 13 && without.invpcid(1, 1) == 13)
    #expect(without.invpcid(0, 0) == nil && without.invpcid(2, 1) == nil && without.invpcid(3, 1) == nil)
  }

  @Test func pcidsNeedIA32eModeAndAnEmptyCR3() throws {
    let spaces = try TwoSpaces()
    spaces.moveToCR3(TwoSpaces.first | 8)
    #expect(spaces.moveToCR4(.pcide) == 13)
    spaces.moveToCR3(TwoSpaces.first)
    #expect(spaces.moveToCR4(.pcide) == nil)
    spaces.moveToCR3(TwoSpaces.first | 1)
    #expect(spaces.number() == 0)
    spaces.guest[TwoSpaces.firstEntry] = TwoSpaces.pages[2] | 3
    #expect(spaces.moveToCR4([]) == nil, "clearing it forgets everything")
    #expect(spaces.number() == 2)
    let protected = try SystemGuest([0x0F, 0x22, 0xE0])  // mov cr4, eax
    protected.enterProtectedMode()
    protected.registers.pointee.rax = 0x2020 | CR4.pcide.rawValue
    protected.vmcs[.exceptionBitmap] = 1 << 13
    protected.expectExit(.exceptionOrNMI)
  }

  @Test func globalPagesGoByINVLPGAndByPGE() throws {
    let spaces = try TwoSpaces(.pge)
    for forget in [
      { spaces.invlpg() }, { _ = spaces.moveToCR4([]) }, { _ = spaces.moveToCR4(.pge) },
    ] {
      spaces.guest[TwoSpaces.firstEntry] = TwoSpaces.pages[0] | 0x103
      spaces.invlpg()
      #expect(spaces.number() == 0)
      spaces.guest[TwoSpaces.firstEntry] = TwoSpaces.pages[2] | 0x103
      forget()
      #expect(spaces.number() == 2)
    }
  }

  @Test func invlpgOfAnyPartForgetsALargePage() throws {
    let spaces = try TwoSpaces()
    // A page of 2 MByte, and one of 1 GByte.
    for (entry, old, new) in [
      (UInt64(0x10_0000), UInt64(0x83), UInt64(0x20_0083)), (Place.pdpt + 8, 0x83, 0x10_0003),
    ] {
      spaces.guest[entry] = old
      spaces.moveToCR3(TwoSpaces.first)
      spaces.guest[0x1F_F008] = 0x77
      spaces.guest[0x3F_F008] = 0x99
      spaces.guest[0x10_0000] = entry == 0x10_0000 ? spaces.guest[0x10_0000] : 0x20_0083
      spaces.execute([0x48, 0x8B, 0x8B, 0x08, 0xF0, 0x1F, 0])  // mov rcx, [rbx + 1FF008H]
      #expect(spaces.guest.registers.pointee.rcx == 0x77)
      spaces.guest[entry] = new
      spaces.invlpg()
      spaces.execute([0x48, 0x8B, 0x8B, 0x08, 0xF0, 0x1F, 0])
      #expect(spaces.guest.registers.pointee.rcx == 0x99)
    }
  }

  /// RAM is mapped by the host as it is touched, so that 6 GiB cost nothing.
  @Test func memoryAbove4GiBIsReached() throws {
    let high: UInt64 = 0x1_4567_8000
    for usesEPT in [false, true] {
      let spaces = try TwoSpaces(memorySize: 6 << 30)
      let guest = spaces.guest
      guest[TwoSpaces.firstEntry] = high | 3
      if usesEPT {
        guest.enableEPT()
        // A page of 1 GByte that leads from 6 GiB to 5 GiB.
        guest[Place.eptPDPT + 6 * 8] = 0x1_4000_00B7
        guest[TwoSpaces.firstEntry] = high + 0x4000_0000 | 3
      }
      guest[high] = 0x1122_3344_5566_7788
      #expect(spaces.number() == 0x1122_3344_5566_7788)
      spaces.execute([0x48, 0x89, 0x43, 0x08], rax: 0x99)  // mov [rbx + 8], rax
      #expect(guest[high + 8] == 0x99)
      guest.place([0x48, 0xFF, 0xC1, 0xC3], at: high)  // inc rcx; ret
      spaces.execute([0xFF, 0xD3]) { $0.registers.pointee.rcx = 41 }
      #expect(guest.registers.pointee.rcx == 42, "code too")
    }
  }

  /// PAE paging has physical addresses of more than 32 bits in protected mode.
  @Test func paePagingReachesAbove4GiB() throws {
    let guest = try SystemGuest([0x8B, 0x0B, 0xF4], memorySize: 6 << 30)  // mov ecx, [ebx]; hlt
    guest.enable(.unrestrictedGuest)
    guest.enableEPT()
    guest[Place.eptPDPT + 4 * 8] = 0x1_0000_00B7
    guest.vmcs.entryControls.remove(.ia32eModeGuest)
    guest.vmcs[.guestCR0] = 0x8000_0031
    guest.vmcs[.guestEFER] = 0
    guest.setCode(SystemGuest.Selector.code32, rights: 0xC09B)
    guest.vmcs[.guestCR3] = 0x10_0000
    guest.vmcs[.guestPDPTE0] = Place.pd | 1
    guest.vmcs[.guestPDPTE1] = 0x10_1001
    guest[0x10_1000] = 0x10_2003
    guest[0x10_2000] = 0x1_0765_4003
    guest[0x1_0765_4010] = 0x55
    guest.registers.pointee.rbx = 0x4000_0010
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rcx == 0x55)
  }

  @Test func executeOnlyPagesOfEPTAreFetchedAlone() throws {
    let spaces = try TwoSpaces()
    let guest = spaces.guest
    guest.enableEPT()
    // ``TwoSpaces/pages`` lie in an EPT page of their own, of 4 KByte.
    guest[Place.eptPD] = 0x10_8007
    for index in 0..<UInt64(512) { guest[0x10_8000 + index * 8] = index << 12 | 0x37 }
    guest[0x10_8000 + (TwoSpaces.pages[0] >> 12) * 8] = TwoSpaces.pages[0] | 0x34
    guest.place([0xC3], at: TwoSpaces.pages[0])
    #expect(spaces.execute([0xFF, 0xD3]) == nil)  // call rbx
    guest.place([0x48, 0x8B, 0x0B, 0xF4], at: Place.code)
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.eptViolation)
    // Bits 11:9 are the advanced information of some processors.
    #expect(guest.vmcs[.exitQualification] & 0x1FF == 0x1A1, "a read of what can be executed only")
  }

  @Test func executeOnlyCodeCannotReadItself() throws {
    let spaces = try TwoSpaces()
    let guest = spaces.guest
    guest.enableEPT()
    guest[Place.eptPD] = 0x10_8007
    for index in 0..<UInt64(512) { guest[0x10_8000 + index * 8] = index << 12 | 0x37 }
    guest[0x10_8000 + (TwoSpaces.pages[0] >> 12) * 8] = TwoSpaces.pages[0] | 0x34
    // xor ecx, ecx; mov rcx, [rbx]; ret
    guest.place([0x31, 0xC9, 0x48, 0x8B, 0x0B, 0xC3], at: TwoSpaces.pages[0])
    guest.place([0xFF, 0xD3, 0xF4], at: Place.code)  // call rbx; hlt
    guest.registers.pointee.rbx = TwoSpaces.page
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.eptViolation)
    #expect(guest.vmcs[.guestRIP] == TwoSpaces.page + 2)
    #expect(guest.registers.pointee.rcx == 0)
  }

  // MARK: Code

  /// What a guest reads of its own code is what it stored there, by string instructions and from another page.
  @Test func codeReadsAsItIs() throws {
    let spaces = try TwoSpaces()
    let guest = spaces.guest
    // cpuid; ret: sensitive and what leaves the page. It is executed, and then read from two places.
    guest.place([0x0F, 0xA2, 0xC3], at: TwoSpaces.pages[0])
    // push rbx; call rbx; pop rbx; mov edx, [rbx]; push rdx; lea rsi, [rip - 14]; mov rdi, rbp; mov ecx, 16; rep movsb;
    // pop rdx; hlt
    let code: [UInt8] = [
      0x53, 0xFF, 0xD3, 0x5B, 0x8B, 0x13, 0x52, 0x48, 0x8D, 0x35, 0xF2, 0xFF, 0xFF, 0xFF, 0x48, 0x89, 0xEF,
      0xB9, 16, 0, 0, 0, 0xF3, 0xA4, 0x5A, 0xF4,
    ]
    guest.place(code, at: Place.code)
    guest.registers.pointee.rbx = TwoSpaces.page
    guest.registers.pointee.rbp = Place.data
    guest.vmcs[.guestRIP] = Place.code
    guest.expectExit(.cpuid)
    guest.vmcs[.guestRIP] += 2
    guest.expectExit(.hlt)
    #expect(guest.registers.pointee.rdx & 0xFF_FFFF == 0xC3_A20F)
    #expect((0..<16).map { UInt8(truncatingIfNeeded: guest[Place.data + $0]) } == Array(code[0..<16]))
  }

  /// The greatest distances that a guest can name are no harm where they are none.
  @Test(arguments: [UInt8(0x7F), 0x80, 0xFF]) func anImmediateIsNoDistance(_ last: UInt8) throws {
    let spaces = try TwoSpaces()
    // mov rcx, imm64; mov rdx, [rip + disp32], which is not executed.
    let immediate = [UInt8](repeating: last == 0x80 ? 0 : 0xFF, count: 7) + [last]
    let load: [UInt8] = [0x48, 0x8B, 0x15] + immediate[4...]
    spaces.execute([0x48, 0xB9] + immediate + [0xEB, UInt8(load.count)] + load)
    #expect(spaces.guest.registers.pointee.rcx >> 56 == UInt64(last))
  }

  @Test func codeChangesThroughAnAlias() throws {
    let spaces = try TwoSpaces()
    let guest = spaces.guest
    let other = TwoSpaces.page + 0x1000
    guest[TwoSpaces.firstEntry + 8] = TwoSpaces.pages[0] | 3
    guest.place([0xB9, 1, 0, 0, 0, 0xC3], at: TwoSpaces.pages[0])  // mov ecx, 1; ret
    spaces.execute([0xFF, 0xD3])  // call rbx
    #expect(guest.registers.pointee.rcx == 1)
    // mov byte [rdx + 1], 7; call rbx: in one run, by the page's other linear address.
    spaces.execute([0xC6, 0x42, 0x01, 0x07, 0xFF, 0xD3]) { $0.registers.pointee.rdx = other }
    #expect(guest.registers.pointee.rcx == 7)
    // And the block that runs changes itself so: mov byte [rdx + 5], 9; mov ecx, 1; ret, at the alias.
    guest.place([0xC6, 0x42, 0x05, 0x09, 0xB9, 1, 0, 0, 0, 0xC3], at: TwoSpaces.pages[0])
    spaces.execute([0xFF, 0xD3]) { $0.registers.pointee.rdx = other }
    #expect(guest.registers.pointee.rcx == 9)
  }

  @Test func codeFollowsItsMapping() throws {
    let spaces = try TwoSpaces()
    let guest = spaces.guest
    for (number, page) in TwoSpaces.pages.enumerated() {
      guest.place([0xB9, UInt8(number), 0, 0, 0, 0xC3], at: page)
    }
    func called() -> UInt64 {
      spaces.execute([0xFF, 0xD3])
      return guest.registers.pointee.rcx
    }
    #expect(called() == 0)
    spaces.moveToCR3(TwoSpaces.second)
    #expect(called() == 1)
    spaces.moveToCR3(TwoSpaces.first)
    #expect(called() == 0)
    guest[TwoSpaces.firstEntry] = TwoSpaces.pages[2] | 3
    spaces.invlpg()
    #expect(called() == 2)
  }

  @Test func codeChangesByDMAAndByAnotherProcessor() throws {
    let spaces = try TwoSpaces()
    let guest = spaces.guest
    guest.place([0xB9, 1, 0, 0, 0, 0xC3], at: TwoSpaces.pages[0])
    spaces.execute([0xFF, 0xD3])
    // A device writes memory itself, and tells of it.
    guest.place([5], at: TwoSpaces.pages[0] + 1)
    spaces.execute([0xFF, 0xD3])
    #expect(guest.registers.pointee.rcx == 5)
    // Another virtual CPU on the same processor, in the other address space.
    let size = guest.cpu.contextSize
    let place = UnsafeMutableRawPointer.allocate(byteCount: 2 * size, alignment: 64)
    defer { place.deallocate() }
    guest.cpu.saveContext(to: place)
    guest.vmcs[.vpid] = 2
    guest.vmcs[.guestCR3] = TwoSpaces.second
    guest[TwoSpaces.secondEntry] = TwoSpaces.pages[0] | 3
    spaces.execute([0xC6, 0x43, 0x01, 0x08])  // mov byte [rbx + 1], 8
    guest.vmcs[.vpid] = 1
    guest.vmcs[.guestCR3] = TwoSpaces.first
    guest.cpu.restoreContext(from: place)
    spaces.execute([0xFF, 0xD3])
    #expect(guest.registers.pointee.rcx == 8)
  }
}
