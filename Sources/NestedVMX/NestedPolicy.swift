/// How L0 runs a nested machine, where the architecture leaves a choice.
public struct NestedPolicy: Equatable, Sendable {
  /// Whether L1's VMREAD and VMWRITE may complete without a VM exit.
  public var vmcsShadowing: VMCSShadowingPolicy

  @inlinable
  public init(vmcsShadowing: VMCSShadowingPolicy = .off) { self.vmcsShadowing = vmcsShadowing }
}

/// The use of SDM VMCS shadowing in vmcs01.
public enum VMCSShadowingPolicy: UInt8, Sendable {
  /// Every VMREAD and VMWRITE of L1 exits to L0.
  case off
  /// The fields of ``ShadowedFields`` are read and written in a shadow VMCS, without a VM exit.
  case hardware
}
