import Testing
import VMX
import X86

@Suite struct EPTTests {
  let format = EPTFormat(capability: [.pages2MByte, .executeOnly], physicalWidth: 46)

  @Test func entriesThatMapAreWellFormed() {
    let entry = EPTEntry(page: 0x1234_5000, permissions: .all)
    #expect(entry.rawValue == 0x1234_5037)
    #expect(entry.memoryType == .writeBack && entry.address == 0x1234_5000 && entry.permissions == .all)
    #expect(!format.isMisconfigured(entry, level: 1))
    #expect(!format.isMisconfigured(EPTEntry(table: 0x5000), level: 4))
    #expect(!format.isMisconfigured(EPTEntry(page: 0x20_0000, permissions: .all, isLarge: true), level: 2))
    #expect(!format.isMisconfigured(EPTEntry(rawValue: 0), level: 1))
  }

  /// SDM volume 3, "EPT Misconfigurations".
  @Test(
    arguments: [
      // Write without read, also with execute.
      (0x32, 1), (0x36, 1), (0x02, 4),
      // Reserved memory types of a page, but not in an entry that refers to a table.
      (0x17, 1), (0x1F, 1), (0x3F, 1), (0x97, 2),
      // Reserved bits: 7:3 of a PML4E, 6:3 of a PDPTE and a PDE, bits of the address of a large page.
      (0x5_000F, 4), (0x5_0087, 4), (0x5_0047, 3), (0x5_000F, 2), (0x20_10B7, 2),
      // A large page of a size that is not supported.
      (0x4000_00B7, 3),
      // Bits beyond the physical-address width.
      (1 << 46 | 0x37, 1), (1 << 51 | 0x7, 4),
    ] as [(UInt64, Int)])
  func misconfigurationIsTold(_ entry: UInt64, _ level: Int) {
    #expect(format.isMisconfigured(EPTEntry(rawValue: entry), level: level))
  }

  @Test func executeOnlyNeedsItsCapability() {
    let entry = EPTEntry(page: 0x1000, permissions: .execute)
    #expect(!format.isMisconfigured(entry, level: 1))
    var without = format
    without.capability.remove(.executeOnly)
    #expect(without.isMisconfigured(entry, level: 1))
  }

  @Test func bit10MattersWithModeBasedExecuteControl() {
    let entry = EPTEntry(page: 0x1000, permissions: .userExecute)
    #expect(!entry.isPresent() && entry.isPresent(modeBasedExecute: true))
    var modeBased = EPTFormat(capability: [], physicalWidth: 46, modeBasedExecute: true)
    #expect(modeBased.isMisconfigured(entry, level: 1))
    modeBased.modeBasedExecute = false
    #expect(!modeBased.isMisconfigured(entry, level: 1))
  }

  @Test func bitsOfTheAddressOf1GBytePagesAreReserved() {
    let large = EPTFormat(capability: .pages1GByte, physicalWidth: 46)
    #expect(!large.isMisconfigured(EPTEntry(rawValue: 0x4000_00B7), level: 3))
    #expect(large.isMisconfigured(EPTEntry(rawValue: 0x6000_00B7), level: 3))
  }

  @Test func pointerIsValidOnlyAsTheCapabilitiesAllow() {
    let capability: EPTAndVPIDCapability = [.pageWalkLength4, .writeBackPagingStructures]
    let pointer = EPTPointer(root: 0x1_2000)
    #expect(pointer.rawValue == 0x1_201E)
    #expect(pointer.isValid(capability: capability, physicalWidth: 46))
    #expect(pointer.root == 0x1_2000 && pointer.walkLength == 4 && !pointer.enablesAccessedAndDirty)
    for invalid: UInt64 in [0x1_2018, 0x1_2019, 0x1_2026, 0x1_205E, 0x1_209E, 0x1_211E, 1 << 46 | 0x1E] {
      #expect(!EPTPointer(rawValue: invalid).isValid(capability: capability, physicalWidth: 46))
    }
    let tracking = EPTPointer(root: 0x1000, enablesAccessedAndDirty: true)
    #expect(tracking.isValid(capability: capability.union(.accessedAndDirtyFlags), physicalWidth: 46))
  }

  @Test func invalidationTypes() {
    #expect(INVEPTType(rawValue: 0) == nil && INVEPTType(rawValue: 2) == .allContexts)
    #expect(INVVPIDType(rawValue: 4) == nil && INVVPIDType(rawValue: 0) == .individualAddress)
    #expect(INVVPIDType.singleContextRetainingGlobals.capability.rawValue == 1 << 43)
    #expect(INVVPIDDescriptor(low: 0x1_0001, high: 0).hasReservedBits)
  }
}
