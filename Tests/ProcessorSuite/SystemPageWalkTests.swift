import Processor
import SoftwareProcessor
import Testing
import Trace
import VMX
import X86

private typealias Place = SystemGuest.Place

/// The page walks that the processor counts, and the time that they take.
@Suite(.onTestedProcessor) struct SystemPageWalkTests {
  /// mov rax, [rbx]; mov [rbx], rax; mov rax, [rbx]; hlt.
  private static let code: [UInt8] = [0x48, 0x8B, 0x03, 0x48, 0x89, 0x03, 0x48, 0x8B, 0x03, 0xF4]

  /// What is counted while `guest` runs to `reason`.
  private func walks(of guest: SystemGuest, to reason: ExitReason = .hlt, price: UInt64 = 0) -> PageWalkCounts
  {
    let counts = UnsafeMutablePointer<PageWalkCounts>.allocate(capacity: 1)
    counts.initialize(to: PageWalkCounts())
    defer { counts.deallocate() }
    guest.cpu.clock.pointee.pageWalks = counts
    guest.cpu.clock.pointee.walkReferenceCycles = price
    guest.expectExit(reason)
    guest.cpu.clock.pointee.pageWalks = nil
    return counts.pointee
  }

  /// Large pages under two levels of tables, in both dimensions: a walk reads 3 entries of the guest, each through 3 of
  /// EPT, and 3 of EPT for the page; the second finds the guest's tables among the cached guest-physical mappings. The
  /// store finds the translation that the load made.
  @Test func aWalkThroughBothDimensionsHasItsReferences() throws {
    let guest = try SystemGuest(Self.code)
    guest.enableEPT()
    guest.registers.pointee.rbx = 0x20_0010
    let counts = walks(of: guest, price: 7)
    #expect(counts.walks == 2)
    #expect(counts.guestReferences == 2 * 3)
    #expect(counts.eptReferences == 4 * 3 + 3)
    #expect(counts.byReferences[15] == 1)
    #expect(counts.byReferences[6] == 1)
    let clock = guest.cpu.clock.pointee
    #expect(clock.cycles == clock.instructions + 7 * counts.references)
  }

  @Test func withoutEPTThereIsOneDimension() throws {
    let guest = try SystemGuest(Self.code)
    guest.registers.pointee.rbx = 0x20_0010
    let counts = walks(of: guest)
    #expect(counts.walks == 2)
    #expect(counts.guestReferences == 2 * 3)
    #expect(counts.eptReferences == 0)
    #expect(counts.byReferences[3] == 2)
  }

  /// A walk that ends in an EPT violation has made references, too.
  @Test func aWalkThatFaultsCounts() throws {
    let guest = try SystemGuest(Self.code)
    guest.enableEPT()
    guest.registers.pointee.rbx = 0x20_0010
    guest[Place.eptPD + 8] = 0
    let counts = walks(of: guest, to: .eptViolation)
    #expect(counts.walks == 2)
    #expect(counts.guestReferences == 2 * 3)
    #expect(counts.eptReferences == 4 * 3 + 3)
  }

  /// With VPID a second entry finds what the first has translated.
  @Test func aTranslationIsKeptByItsVPID() throws {
    let guest = try SystemGuest(Self.code)
    guest.enableEPT()
    guest.enable(.enableVPID)
    guest.vmcs[.vpid] = 1
    guest.registers.pointee.rbx = 0x20_0010
    #expect(walks(of: guest).walks == 2)
    guest.vmcs[.guestRIP] = Place.code
    #expect(walks(of: guest).walks == 0)
    guest.cpu.invalidateVPID(.singleContext(vpid: 1))
    guest.vmcs[.guestRIP] = Place.code
    #expect(walks(of: guest).walks == 2)
  }

  /// INVVPID of an address leaves the translations of other VPIDs alone, those of the same page too.
  @Test func invalidationOfAnAddressIsOfItsVPID() throws {
    let guest = try SystemGuest(Self.code)
    guest.enableEPT()
    guest.enable(.enableVPID)
    guest.vmcs[.vpid] = 1
    guest.registers.pointee.rbx = 0x20_0010
    #expect(walks(of: guest).walks == 2)
    guest.cpu.invalidateVPID(.individualAddress(vpid: 2, linear: 0x20_0000))
    guest.vmcs[.guestRIP] = Place.code
    #expect(walks(of: guest).walks == 0)
    guest.cpu.invalidateVPID(.individualAddress(vpid: 1, linear: 0x20_0000))
    guest.vmcs[.guestRIP] = Place.code
    #expect(walks(of: guest).walks > 0)
  }

  /// A deadline is met as exactly as without walks, but for those of the last instructions before it, once the pace is
  /// known.
  @Test func aDeadlineIsNotMissedByTheWalksBeforeIt() throws {
    // add rbx, 1000h; and rbx, 3FFFFFh; mov rax, [rbx]; jmp back: a miss in each round.
    let guest = try SystemGuest([
      0x48, 0x81, 0xC3, 0, 0x10, 0, 0, 0x48, 0x81, 0xE3, 0xFF, 0xFF, 0x3F, 0, 0x48, 0x8B, 0x03, 0xEB, 0xED,
    ])
    guest.enableEPT()
    guest.vmcs.pinBasedControls.insert(.externalInterruptExiting)
    let deadline: UInt64 = 60_000
    for time in [deadline / 20, deadline] {
      guest.cpu.clock.pointee.interruptDeadline = time
      #expect(walks(of: guest, to: .externalInterrupt, price: 20).walks > 5)
    }
    #expect(guest.cpu.clock.pointee.cycles &- deadline < 1_000)
  }
}
