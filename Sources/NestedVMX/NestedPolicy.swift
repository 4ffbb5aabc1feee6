/// How L0 runs a nested machine, where the architecture leaves a choice.
public struct NestedPolicy: Equatable, Sendable {
  /// Whether L1's VMREAD and VMWRITE may complete without a VM exit.
  public var vmcsShadowing: VMCSShadowingPolicy
  /// When ept02 gets its mappings.
  public var eptComposition: EPTCompositionPolicy

  @inlinable
  public init(
    vmcsShadowing: VMCSShadowingPolicy = .off, eptComposition: EPTCompositionPolicy = .onDemand
  ) {
    self.vmcsShadowing = vmcsShadowing
    self.eptComposition = eptComposition
  }
}

/// The use of SDM VMCS shadowing in vmcs01.
public enum VMCSShadowingPolicy: String, CaseIterable, Sendable {
  /// Every VMREAD and VMWRITE of L1 exits to L0.
  case off
  /// The fields of ``ShadowedFields`` are read and written in a shadow VMCS, without a VM exit.
  case hardware
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
