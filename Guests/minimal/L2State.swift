import CInstructions
import CMinimal
import VMX
import X86

/// The guest-state fields: L2 starts in 64-bit mode at `l2_start`, on its own stack and its own paging structures.
enum L2State {
  static func write(_ mistake: Mistake) {
    vmwrite(.guestCR0, read_cr0())
    vmwrite(.guestCR3, L2Paging.build())
    vmwrite(.guestCR4, read_cr4())
    vmwrite(.guestDR7, 0x400)
    vmwrite(.guestRIP, address_of_l2_start())
    vmwrite(.guestRSP, address_of_l2_stack_top())
    vmwrite(.guestRFLAGS, mistake == .guestRFLAGS ? 0 : 0x2)
    writeSegments()
    writeTables()
    vmwrite(.guestSysenterCS, 0)
    vmwrite(.guestSysenterESP, 0)
    vmwrite(.guestSysenterEIP, 0)
    vmwrite(.guestDebugCtl, 0)
    vmwrite(.guestPendingDebugExceptions, 0)
    vmwrite(.guestInterruptibilityState, 0)
    vmwrite(.guestActivityState, 0)
    vmwrite(.vmcsLinkPointer, .max)
  }

  private static func writeSegments() {
    let code = SegmentAccessRights(type: 11, isCodeOrData: true, isLong: true, isGranular: true)
    let data = SegmentAccessRights(type: 3, isCodeOrData: true, isBig: true, isGranular: true)
    let busyTSS = SegmentAccessRights(type: SystemSegmentType.tss32Busy.rawValue, isCodeOrData: false)
    write(.cs, code)
    write(.ss, data)
    write(.ds, data)
    write(.es, data)
    write(.fs, data)
    write(.gs, data)
    write(.ldtr, .unusable)
    write(.tr, busyTSS)
  }

  /// One segment register with base 0 and a null selector, which a VM entry accepts: L2 never loads a segment.
  private static func write(_ segment: GuestSegment, _ rights: SegmentAccessRights) {
    vmwrite(segment.selectorField, 0)
    vmwrite(segment.baseField, 0)
    vmwrite(segment.limitField, rights.isGranular ? 0xFFFF_FFFF : 0x67)
    vmwrite(segment.accessRightsField, UInt64(rights.rawValue))
  }

  /// Empty tables: every exception of L2 is a VM exit.
  private static func writeTables() {
    vmwrite(.guestGDTRBase, 0)
    vmwrite(.guestGDTRLimit, 0)
    vmwrite(.guestIDTRBase, 0)
    vmwrite(.guestIDTRLimit, 0)
  }
}

/// L2's paging structures, in L2's memory: the first 2 MiB and the window map to themselves.
enum L2Paging {
  private typealias Table = UnsafeMutablePointer<UInt64>

  /// Builds them and gives the value of CR3.
  static func build() -> UInt64 {
    let base = address_of_l2_page_tables()
    let (pml4, pdpt, lowDirectory, windowDirectory) = (base, base + 4096, base + 2 * 4096, base + 3 * 4096)
    let table = PagingEntry.present | PagingEntry.writable
    let largePage = table | PagingEntry.pageSize
    Table(physical: pml4)[0] = pdpt | table
    Table(physical: pdpt)[0] = lowDirectory | table
    Table(physical: pdpt)[1] = windowDirectory | table
    Table(physical: lowDirectory)[0] = 0 | largePage
    Table(physical: windowDirectory)[0] = L2AddressSpace.windowBase | largePage
    return pml4
  }
}
