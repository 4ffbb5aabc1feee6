import VMX

/// Who decides the value of a field of vmcs02.
public enum MergeRule: Sendable {
  /// vmcs12's value.
  case fromL1
  /// vmcs01's value.
  case fromL0
  /// The bits that either wants: a bit asks for a VM exit, or for ownership.
  case union
  /// The bits that both have: a bit gives the guest something.
  case intersection
  /// A word of controls, merged bit by bit as ``ControlMerge/init(of:)`` says.
  case controls(ControlWordKind)
  /// vmcs12's L1-physical address, as the L0-physical one that ept01 maps it to.
  case translated(TranslatedPage)
  /// A function of both VMCSs and of what L0 prepared.
  case derived(Derivation)
  /// vmcs02 does without: L0 itself does for L2 what L1 asks for by it.
  case performedByL0
  /// vmcs02 has no such field, or VM exits write it.
  case absent

  /// The rule's name, such as `from L1`.
  public var name: StaticString {
    switch self {
    case .fromL1: "from L1"
    case .fromL0: "from L0"
    case .union: "union"
    case .intersection: "intersection"
    case .controls: "bit by bit"
    case .translated: "translated"
    case .derived: "derived"
    case .performedByL0: "performed by L0"
    case .absent: "absent"
    }
  }
}

/// A page that vmcs12 names by its L1-physical address.
public enum TranslatedPage: UInt8, Sendable {
  case virtualAPICPage, apicAccessPage
}

/// A function that makes a field of vmcs02, by name; ``Merge`` defines it.
public enum Derivation: UInt8, Sendable {
  /// The VPID that L0 gives L2, or 0 if L0 uses no VPIDs.
  case vpid
  /// The merged bitmap, or 0 if vmcs02 uses none.
  case ioBitmapA, ioBitmapB, msrBitmap
  /// L0's offset for L1, scaled if L1 scales L2's TSC, plus L1's for L2 if it uses one.
  case tscOffset
  /// The composed EPT, or ept01 if L1 uses no EPT.
  case eptPointer
  /// L1's, unless L0 wants all page faults: then 0.
  case pageFaultErrorCodeMask, pageFaultErrorCodeMatch
  /// The bits that either owns, but for PE and PG, which L0 owns only to hold L1 to what VMX operation fixes.
  case cr0GuestHostMask
  /// What L2 reads: L1's shadow for the bits of L1, L2's own value for those that only L0 owns.
  case cr0ReadShadow, cr4ReadShadow
  /// L2's value as L1 set it, with the bits that VMX operation fixes.
  case guestCR0, guestCR4
  /// vmcs12's value if its VM-entry controls load it, else L1's own at the VM entry.
  case guestEFER, guestPAT, guestDR7, guestDebugCtl
  /// vmcs12's if L1 uses EPT, else read through L2's CR3.
  case pdpte0, pdpte1, pdpte2, pdpte3
  /// The bitmaps of the shadow VMCS that L1 gives L2, or 0 if it gives none.
  case vmreadBitmap, vmwriteBitmap
  /// That shadow VMCS in L0's memory, or all ones.
  case linkPointer
}

/// The rule of one field of vmcs02.
public struct MergeRow: Sendable {
  public let field: VMCSField
  public let rule: MergeRule
  /// The controls of L1 without which vmcs02 does not use the field, and it is 0; none if it always does.
  public let condition: SecondaryProcessorBasedControls

  @inlinable
  init(
    _ field: VMCSField, _ rule: MergeRule,
    under condition: SecondaryProcessorBasedControls = SecondaryProcessorBasedControls(rawValue: 0)
  ) {
    self.field = field
    self.rule = rule
    self.condition = condition
  }

  /// Whether L1 uses the field for L2.
  @inlinable
  func isUsed(by vmcs12: VMCS) -> Bool {
    condition.rawValue == 0 || vmcs12.effectiveSecondaryControls.isSuperset(of: condition)
  }

  /// The number of rows: one per field of the SDM.
  public static var count: Int { all.count }

  /// The row at `position`, from 0 up to ``count`` - 1.
  public static func row(at position: Int) -> MergeRow { all[position] }

  /// The rule of `field`.
  public static func rule(for field: VMCSField) -> MergeRule { all[field.rowIndex].rule }
}
