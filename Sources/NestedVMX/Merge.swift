import VMX
import X86

/// What L0 prepared for the merge: the inputs that are in neither vmcs01 nor vmcs12.
public struct MergeContext: Sendable {
  /// What the processor that runs vmcs02 allows.
  public var processor = VMXCapabilities()
  /// The EPTP of the composed EPT, or ept01's.
  public var eptPointer: UInt64 = 0
  /// The VPID of L2, or 0.
  public var vpid: UInt64 = 0
  /// The I/O and MSR controls that follow from the bitmaps of both levels.
  public var bitmapControls: PrimaryProcessorBasedControls = []
  /// The L0-physical addresses of the merged bitmaps, as far as `bitmapControls` uses them.
  public var ioBitmapA: UInt64 = 0
  public var ioBitmapB: UInt64 = 0
  public var msrBitmap: UInt64 = 0
  /// The L0-physical address of L2's virtual-APIC page.
  public var virtualAPICPage: UInt64 = 0
  /// The L0-physical address of L2's APIC-access page.
  public var apicAccessPage: UInt64 = 0
  /// The L0-physical addresses of L2's VMREAD and VMWRITE bitmaps and shadow VMCS, which is 0 if it has none.
  public var vmreadBitmap: UInt64 = 0
  public var vmwriteBitmap: UInt64 = 0
  public var shadowVMCS: UInt64 = 0
  /// The PDPTEs of L2, as far as it uses PAE paging.
  public var pdptes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  public init() {}
}

/// The merge of vmcs01 and vmcs12 into vmcs02: the rules of ``MergeRow`` as arithmetic.
public enum Merge {
  /// Writes every field of vmcs02 that the merge decides.
  public static func merge(
    vmcs01: VMCS, vmcs12: VMCS, into vmcs02: VMCS, context: borrowing MergeContext,
    counting work: inout WorkCounters
  ) {
    let plan = MergePlan.plan
    plan.fromL1.copy(from: vmcs12, to: vmcs02)
    plan.fromL0.copy(from: vmcs01, to: vmcs02)
    for number in 0..<plan.computed.count {
      let row = plan.computed[number]
      vmcs02[row.field] = value(of: row, vmcs01: vmcs01, vmcs12: vmcs12, context: context)
    }
    var computed = UInt64(plan.computed.count)
    for number in 0..<plan.conditional.count {
      let row = plan.conditional[number]
      let value = value(of: row, vmcs01: vmcs01, vmcs12: vmcs12, context: context)
      // L0 leaves alone what vmcs02 does not use and holds nothing.
      guard row.isUsed(by: vmcs12) || vmcs02[row.field] != value else { continue }
      vmcs02[row.field] = value
      computed &+= 1
    }
    let fields = plan.fromL1.fieldCount &+ plan.fromL0.fieldCount &+ computed
    work.memoryReads &+= plan.fromL1.fieldCount &+ computed
    work.vmcsReads &+= plan.fromL0.fieldCount &+ computed
    work.vmcsWrites &+= fields
    work.fieldsCopied &+= fields
  }

  /// The value that the merge gives `row`'s field, 0 if it is absent.
  static func value(
    of row: MergeRow, vmcs01: VMCS, vmcs12: VMCS, context: borrowing MergeContext
  ) -> UInt64 {
    let field = row.field
    guard row.isUsed(by: vmcs12) else { return 0 }
    switch row.rule {
    case .fromL1: return vmcs12[field]
    case .fromL0: return vmcs01[field]
    case .union: return vmcs01[field] | vmcs12[field]
    case .intersection: return vmcs01[field] & vmcs12[field]
    case .controls(let kind): return controls(kind, vmcs01: vmcs01, vmcs12: vmcs12, context: context)
    case .translated(.virtualAPICPage): return context.virtualAPICPage
    case .translated(.apicAccessPage): return context.apicAccessPage
    case .derived(let derivation):
      return derived(derivation, vmcs01: vmcs01, vmcs12: vmcs12, context: context)
    case .performedByL0, .absent: return 0
    }
  }

  /// A word of controls, with the settings that the processor fixes.
  static func controls(
    _ kind: ControlWordKind, vmcs01: VMCS, vmcs12: VMCS, context: borrowing MergeContext
  ) -> UInt64 {
    let word = ControlMerge(of: kind).merged(
      effectiveWord(kind, vmcs01), effectiveWord(kind, vmcs12),
      derived: derivedControls(kind, vmcs01: vmcs01, vmcs12: vmcs12, context: context))
    return context.processor.capability(of: kind).adjusted(word)
  }

  /// A word of controls as the processor takes it: secondary ones count only if they are activated.
  static func effectiveWord(_ kind: ControlWordKind, _ vmcs: VMCS) -> UInt64 {
    guard kind == .secondaryProcessorBased else { return vmcs[kind.field] }
    return UInt64(vmcs.effectiveSecondaryControls.rawValue)
  }

  /// The derived controls of a word that are 1.
  static func derivedControls(
    _ kind: ControlWordKind, vmcs01: VMCS, vmcs12: VMCS, context: borrowing MergeContext
  ) -> UInt64 {
    switch kind {
    case .pinBased:
      let controls12 = vmcs12.pinBasedControls
      let owner = controls12.contains(.nmiExiting) ? controls12 : vmcs01.pinBasedControls
      return UInt64(owner.intersection(.virtualNMIs).rawValue)
    case .primaryProcessorBased:
      return UInt64(
        context.bitmapControls.union(taskPriorityControls(vmcs01: vmcs01, vmcs12: vmcs12)).rawValue)
    case .secondaryProcessorBased:
      return scalesTSC(vmcs12) ? UInt64(SecondaryProcessorBasedControls.useTSCScaling.rawValue) : 0
    case .exit:
      // The timer goes on counting down across exits that L0 keeps.
      let isActive = vmcs12.pinBasedControls.contains(.activatePreemptionTimer)
      return isActive ? UInt64(PrimaryExitControls.savePreemptionTimerValue.rawValue) : 0
    default: return 0
    }
  }
}

extension Merge {
  /// The exits of MOV to and from CR8: with a TPR shadow of L1, CR8 of L2 is not L1's, which L0 keeps.
  static func taskPriorityControls(vmcs01: VMCS, vmcs12: VMCS) -> PrimaryProcessorBasedControls {
    let exits: PrimaryProcessorBasedControls = [.cr8LoadExiting, .cr8StoreExiting]
    let controls12 = vmcs12.primaryProcessorBasedControls
    let ofL0 = controls12.contains(.useTPRShadow) ? [] : vmcs01.primaryProcessorBasedControls
    return controls12.union(ofL0).intersection(exits)
  }

  /// The derivations, by name.
  static func derived(
    _ derivation: Derivation, vmcs01: VMCS, vmcs12: VMCS, context: borrowing MergeContext
  ) -> UInt64 {
    switch derivation {
    case .vpid: context.vpid
    case .ioBitmapA: context.ioBitmapA
    case .ioBitmapB: context.ioBitmapB
    case .msrBitmap: context.msrBitmap
    case .tscOffset: tscOffset(vmcs01: vmcs01, vmcs12: vmcs12)
    case .eptPointer: context.eptPointer
    case .pageFaultErrorCodeMask: wantsPageFaults(vmcs01) ? 0 : vmcs12[.pageFaultErrorCodeMask]
    case .pageFaultErrorCodeMatch: wantsPageFaults(vmcs01) ? 0 : vmcs12[.pageFaultErrorCodeMatch]
    case .cr0GuestHostMask:
      vmcs01[.cr0GuestHostMask] & ~pagingOfL1 | vmcs12[.cr0GuestHostMask]
    case .cr0ReadShadow:
      readShadow(.cr0ReadShadow, .cr0GuestHostMask, loadedCR0(vmcs01: vmcs01, vmcs12: vmcs12), vmcs12)
    case .cr4ReadShadow: readShadow(.cr4ReadShadow, .cr4GuestHostMask, vmcs12[.guestCR4], vmcs12)
    case .guestCR0: guestCR0(vmcs01: vmcs01, vmcs12: vmcs12, context: context)
    case .guestCR4: context.processor.cr4.adjusted(vmcs12[.guestCR4])
    case .guestEFER: guestEFER(vmcs01: vmcs01, vmcs12: vmcs12)
    case .guestPAT: loaded(.guestPAT, by: .loadPAT, vmcs01: vmcs01, vmcs12: vmcs12)
    case .guestDR7: loaded(.guestDR7, by: .loadDebugControls, vmcs01: vmcs01, vmcs12: vmcs12)
    case .guestDebugCtl: loaded(.guestDebugCtl, by: .loadDebugControls, vmcs01: vmcs01, vmcs12: vmcs12)
    case .pdpte0: context.pdptes.0
    case .pdpte1: context.pdptes.1
    case .pdpte2: context.pdptes.2
    case .pdpte3: context.pdptes.3
    case .vmreadBitmap: usesShadowing(vmcs12) ? context.vmreadBitmap : 0
    case .vmwriteBitmap: usesShadowing(vmcs12) ? context.vmwriteBitmap : 0
    case .linkPointer: linkPointer(vmcs12, shadow: context.shadowVMCS)
    }
  }

  /// Whether L1 uses VMCS shadowing for L2.
  static func usesShadowing(_ vmcs12: VMCS) -> Bool {
    vmcs12.effectiveSecondaryControls.contains(.vmcsShadowing)
  }

  /// The link pointer of vmcs02: the copy at `shadow` of the shadow VMCS that L1 gives L2, or none.
  static func linkPointer(_ vmcs12: VMCS, shadow: UInt64) -> UInt64 {
    usesShadowing(vmcs12) && shadow != 0 ? shadow : .max
  }

  /// The sum of the offsets in use: L2's TSC is L1's plus what L1 adds.
  static func tscOffset(vmcs01: VMCS, vmcs12: VMCS) -> UInt64 {
    let offset01 = vmcs01.primaryProcessorBasedControls.contains(.useTSCOffsetting) ? vmcs01[.tscOffset] : 0
    let offset12 = vmcs12.primaryProcessorBasedControls.contains(.useTSCOffsetting) ? vmcs12[.tscOffset] : 0
    guard scalesTSC(vmcs12) else { return offset01 &+ offset12 }
    return TSCScaling.scaled(offset: offset01, by: vmcs12[.tscMultiplier]) &+ offset12
  }

  /// Whether L1 scales L2's TSC, which it can only if it uses an offset too.
  static func scalesTSC(_ vmcs12: VMCS) -> Bool {
    vmcs12.primaryProcessorBasedControls.contains(.useTSCOffsetting)
      && vmcs12.effectiveSecondaryControls.contains(.useTSCScaling)
  }

  /// Whether L0 intercepts every page fault of its guests.
  static func wantsPageFaults(_ vmcs01: VMCS) -> Bool {
    vmcs01[.exceptionBitmap] & 1 << UInt64(ExceptionVector.pageFault.rawValue) != 0
  }

  /// What L2 reads of a control register: in the bits that L1 owns L1's shadow, in all others L2's own value, which
  /// matters for the bits that only L0 owns.
  static func readShadow(_ shadow: VMCSField, _ mask: VMCSField, _ value: UInt64, _ vmcs12: VMCS) -> UInt64 {
    vmcs12[shadow] & vmcs12[mask] | value & ~vmcs12[mask]
  }

  /// The bits of CR0 that VMX operation fixes in L1 although L1 is an unrestricted guest of L0.
  static var pagingOfL1: UInt64 { CR0.pe.rawValue | CR0.pg.rawValue }

  /// The bits of CR0 that neither VM entries nor VM exits change: ET, NW and CD.
  static var keptCR0: UInt64 { CR0.et.rawValue | CR0.nw.rawValue | CR0.cd.rawValue }

  /// CR0 as a VM entry of L1 loads it: vmcs12's, with the kept bits as L1 has them.
  static func loadedCR0(vmcs01: VMCS, vmcs12: VMCS) -> UInt64 {
    let mask01 = vmcs01[.cr0GuestHostMask]
    let cr0OfL1 = vmcs01[.guestCR0] & ~mask01 | vmcs01[.cr0ReadShadow] & mask01
    return vmcs12[.guestCR0] & ~keptCR0 | cr0OfL1 & keptCR0
  }

  /// L2's CR0, with the bits that VMX operation fixes; an unrestricted guest is free in PE and PG.
  static func guestCR0(vmcs01: VMCS, vmcs12: VMCS, context: borrowing MergeContext) -> UInt64 {
    var fixed = context.processor.cr0
    if vmcs12.effectiveSecondaryControls.contains(.unrestrictedGuest) {
      fixed.allowed0 &= ~(CR0.pe.rawValue | CR0.pg.rawValue)
    }
    return fixed.adjusted(loadedCR0(vmcs01: vmcs01, vmcs12: vmcs12))
  }

  /// vmcs12's value of a field if its VM-entry controls load it, else L1's own value at the VM entry.
  static func loaded(
    _ field: VMCSField, by control: EntryControls, vmcs01: VMCS, vmcs12: VMCS
  ) -> UInt64 {
    vmcs12.entryControls.contains(control) ? vmcs12[field] : vmcs01[field]
  }

  /// L2's IA32_EFER. Without "load IA32_EFER", VM entry changes only LMA and LME (SDM volume 3, "Loading Guest
  /// Control Registers, Debug Registers, and MSRs").
  static func guestEFER(vmcs01: VMCS, vmcs12: VMCS) -> UInt64 {
    if vmcs12.entryControls.contains(.loadEFER) { return vmcs12[.guestEFER] }
    let isLong = vmcs12.entryControls.contains(.ia32eModeGuest)
    var efer = EFER(rawValue: vmcs01[.guestEFER])
    if isLong { efer.insert(.lma) } else { efer.remove(.lma) }
    if CR0(rawValue: vmcs12[.guestCR0]).contains(.pg) {
      if isLong { efer.insert(.lme) } else { efer.remove(.lme) }
    }
    return efer.rawValue
  }
}
