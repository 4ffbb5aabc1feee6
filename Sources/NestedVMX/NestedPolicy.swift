/// How L0 runs a nested machine, where the architecture leaves a choice.
public struct NestedPolicy: Equatable, Sendable {
  /// How L1's VMREAD and VMWRITE reach vmcs12.
  public var vmcsAccess: VMCSAccessModel
  /// With ``VMCSAccessModel/hardware``, the fields that do not exit.
  public var shadowedFields: ShadowedFieldSet
  /// When ept02 gets its mappings.
  public var eptComposition: EPTCompositionPolicy
  /// Whether L1 is offered EPT, and whether L0 uses it.
  public var memoryDesign: MemoryDesign

  public init(
    vmcsAccess: VMCSAccessModel = .off, shadowedFields: ShadowedFieldSet = .standard,
    eptComposition: EPTCompositionPolicy = .onDemand, memoryDesign: MemoryDesign = .eptOnEPT
  ) {
    self.vmcsAccess = vmcsAccess
    self.shadowedFields = shadowedFields
    self.eptComposition = eptComposition
    self.memoryDesign = memoryDesign
  }
}

/// When L0 composes a page of ept12 with ept01 into ept02.
public enum EPTCompositionPolicy: String, CaseIterable, Sendable {
  /// When L2 first touches the page: an EPT violation of L2 that L0 keeps.
  case onDemand = "on-demand"
  /// Before L2 can touch it, as far as ``CompositionBudget`` goes: at the VM entry that finds ept02 empty, what ept12
  /// maps; at the one that follows an EPT violation given to L1, the page that L1 has just dealt with. Whatever
  /// that leaves out is composed on demand.
  case ahead
}
