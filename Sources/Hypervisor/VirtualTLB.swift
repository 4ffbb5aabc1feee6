import NestedVMX
import VMX
import X86

/// How L0 runs guests on a processor without EPT, as far as the rest of L0 need not know: its VMCSs say what they say with
/// EPT, and ``arm(_:)`` turns one into what such a processor can enter, until ``disarm(_:)``.
///
/// The processor then walks an active page-table hierarchy, of which the guest knows nothing: page faults, MOV to and from
/// CR3, INVLPG, INVPCID and changes of paging exit to L0. There is one hierarchy for each VPID and PCID.
/// Source: SDM volume 3, "Virtual TLB Emulation" and "Details of Virtual TLB Operation".
struct VirtualTLB {
  /// The bits of CR0 that L0 owns because the processor's differ from the guest's: paging is always on, and with
  /// write protection, since a page that is not dirty yet must not be written.
  static let ownedCR0: CR0 = [.pe, .pg, .wp]
  /// The same of CR4, and those whose changes L0 has to see.
  static let ownedCR4: CR4 = [.pse, .pae, .pge, .pcide, .smep, .smap, .la57]
  /// What must not be in a guest's CR4 while the processor pages and the guest does not.
  private static let pagingOnly: CR4 = [.smep, .smap]

  /// The fields that arming changes and that no guest does.
  private static let fields: [14 of VMCSField] = [
    .secondaryProcessorBasedControls, .primaryProcessorBasedControls, .exceptionBitmap,
    .pageFaultErrorCodeMask,
    .pageFaultErrorCodeMatch, .cr0GuestHostMask, .cr0ReadShadow, .cr4GuestHostMask, .cr4ReadShadow,
    .cr3TargetCount,
    .guestCR3, .guestCR0, .guestCR4, .guestEFER,
  ]

  let pool: PagePool
  private var hierarchies: [9 of ActivePageTables]
  private var current = 0
  private var clock: UInt64 = 0
  /// The values of ``fields`` as the rest of L0 knows them.
  private var known: [14 of UInt64] = .init(repeating: 0)

  /// Nil if `pool` has not the pages.
  init?(_ pool: PagePool) {
    guard let first = pool.allocate() else { return nil }
    hierarchies = .init(repeating: ActivePageTables(root: first))
    for number in 1..<9 {
      guard let root = pool.allocate() else { return nil }
      hierarchies[number] = ActivePageTables(root: root)
    }
    self.pool = pool
  }

  // MARK: The VMCS

  /// Makes `vmcs` one that a processor without EPT enters; returns whether it has to forget the linear mappings of its VPID
  /// first. The guest has to be in protected mode.
  mutating func arm(_ vmcs: VMCS, counting accesses: inout UInt64) -> Bool {
    for number in 0..<Self.fields.count { known[number] = vmcs[Self.fields[number]] }
    let state = TranslationState(of: vmcs)
    let isStale = select(vmcs[.vpid], state)
    if isStale { accesses &+= 1 }
    vmcs.secondaryProcessorBasedControls.subtract([
      .enableEPT, .unrestrictedGuest, .modeBasedExecuteControlForEPT,
    ])
    vmcs.primaryProcessorBasedControls.insert([.invlpgExiting, .cr3LoadExiting, .cr3StoreExiting])
    vmcs[.cr3TargetCount] = 0
    vmcs[.exceptionBitmap] |= 1 << UInt64(ExceptionVector.pageFault.rawValue)
    vmcs[.pageFaultErrorCodeMask] = 0
    vmcs[.pageFaultErrorCodeMatch] = 0
    armControlRegisters(vmcs, state)
    return isStale
  }

  private func armControlRegisters(_ vmcs: VMCS, _ state: TranslationState) {
    let (cr0, cr4) = (vmcs[.guestCR0], vmcs[.guestCR4])
    let (mask0, mask4) = (vmcs[.cr0GuestHostMask], vmcs[.cr4GuestHostMask])
    vmcs[.cr0ReadShadow] = vmcs[.cr0ReadShadow] & mask0 | cr0 & ~mask0
    vmcs[.cr4ReadShadow] = vmcs[.cr4ReadShadow] & mask4 | cr4 & ~mask4
    vmcs[.cr0GuestHostMask] = mask0 | Self.ownedCR0.rawValue
    vmcs[.cr4GuestHostMask] = mask4 | Self.ownedCR4.rawValue
    vmcs[.guestCR0] = cr0 | Self.ownedCR0.rawValue
    var own = CR4(rawValue: cr4).union(.pae).subtracting([.pcide, .pge])
    if !state.isPaging { own.subtract(Self.pagingOnly) }
    vmcs[.guestCR4] = own.rawValue
    vmcs[.guestCR3] = hierarchies[current].root.address.rawValue
    // While paging is on, LME is what LMA is.
    if !state.isLong { vmcs[.guestEFER] &= ~EFER.lme.rawValue }
  }

  /// Makes `vmcs` again what the rest of L0 knows, with what the guest has changed since.
  func disarm(_ vmcs: VMCS) {
    let (cr0, cr4, efer) = (vmcs[.guestCR0], vmcs[.guestCR4], vmcs[.guestEFER])
    let (mask0, mask4) = (vmcs[.cr0GuestHostMask], vmcs[.cr4GuestHostMask])
    for number in 0..<Self.fields.count { vmcs[Self.fields[number]] = known[number] }
    vmcs[.guestCR0] = vmcs[.guestCR0] & mask0 | cr0 & ~mask0
    vmcs[.guestCR4] = vmcs[.guestCR4] & mask4 | cr4 & ~mask4
    vmcs[.guestEFER] = vmcs[.guestEFER] & EFER.lme.rawValue | efer & ~EFER.lme.rawValue
  }

  // MARK: The hierarchies

  /// Makes the hierarchy of `vpid` and of the PCID current; returns whether the processor may still know another one for
  /// that VPID: what it held was made for another translation, and dropped, or another PCID was in use.
  private mutating func select(_ vpid: UInt64, _ state: TranslationState) -> Bool {
    clock &+= 1
    let pcid = state.pcid
    var oldest = 0
    var chosen: Int?
    var last: Int?
    for number in 0..<9 {
      if hierarchies[number].stamp < hierarchies[oldest].stamp { oldest = number }
      guard hierarchies[number].vpid == vpid else { continue }
      if hierarchies[number].pcid == pcid { chosen = number }
      if last.map({ hierarchies[$0].stamp < hierarchies[number].stamp }) ?? true { last = number }
    }
    current = chosen ?? oldest
    hierarchies[current].stamp = clock
    if chosen != nil, hierarchies[current].state == state { return last != current }
    hierarchies[current].forgetAll(pool)
    hierarchies[current].vpid = vpid
    hierarchies[current].pcid = pcid
    hierarchies[current].state = state
    return true
  }

  /// Maps a page of the guest that runs.
  mutating func map(_ page: GuestPage, counting accesses: inout UInt64) -> ActivePageTables.Mapped {
    hierarchies[current].map(page.linear, page.leaf, pieceOf: page.size, pool, counting: &accesses)
  }

  /// Forgets what the guest with `vpid` has mapped at `linear`, whatever the PCID, for it may be a global page; returns
  /// whether that may be more than 4 KByte.
  mutating func forget(_ linear: UInt64, vpid: UInt64) -> Bool {
    var wasLarge = false
    for number in 0..<9 where hierarchies[number].vpid == vpid {
      if hierarchies[number].forget(linear, pool) { wasLarge = true }
    }
    return wasLarge
  }

  /// Forgets all that the guest with `vpid` has mapped, or every guest; with one of its PCIDs, or with any.
  mutating func forgetAll(vpid: UInt64? = nil, pcid: UInt64? = nil) {
    for number in 0..<9 where vpid == nil || hierarchies[number].vpid == vpid {
      if pcid == nil || hierarchies[number].pcid == pcid { hierarchies[number].forgetAll(pool) }
    }
  }
}
