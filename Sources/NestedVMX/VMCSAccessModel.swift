/// How L1's VMREAD and VMWRITE reach vmcs12: the mechanisms that studies of nested virtualization compare.
///
/// All but ``off`` rest on the processor's VMCS shadowing, so that an unmodified L1 runs under each of them; they differ
/// in the fields that do not exit, in what L0 has to copy, and in what an access costs L1.
public enum VMCSAccessModel: String, CaseIterable, Sendable {
  /// Every VMREAD and VMWRITE of L1 exits to L0.
  case off
  /// SDM VMCS shadowing: the policy's fields do not exit. L0 copies them to the shadow VMCS at each exit that it
  /// reflects, and the writable ones back at each VM entry of L1.
  case hardware
  /// All fields, and L0 copies nothing: what VMCS shadowing could be at best.
  case ideal
  /// Hyper-V's enlightened VMCS: all fields lie in memory that L1 shares with L0, and clean fields tell L0 which groups
  /// L1 has written since its last VM entry, so that it copies only those (``CleanFieldGroup``).
  case enlightened
  /// The direct access of the Turtles project (Ben-Yehuda et al., OSDI 2010): L1's VMREADs and VMWRITEs are patched to
  /// loads and stores of vmcs12 itself, so that nothing is copied.
  case direct

  /// Whether L1 reaches every field of vmcs12 without a VM exit.
  var reachesAllFields: Bool { self == .ideal || self == .enlightened || self == .direct }

  /// Whether an access of L1 is a load or store of memory, and not a VMREAD or VMWRITE.
  public var isMemoryAccess: Bool { self == .enlightened || self == .direct }

  /// What it takes to keep vmcs12 and what L1 sees of it in step.
  var synchronisation: Synchronisation {
    switch self {
    case .off, .ideal, .direct: .none
    case .hardware: .shadowVMCS
    case .enlightened: .cleanFields
    }
  }

  enum Synchronisation {
    /// L1 sees vmcs12 itself.
    case none
    /// Each field is copied by a VMWRITE to, or a VMREAD of, the shadow VMCS.
    case shadowVMCS
    /// Each field is copied from memory to memory; from L1, only those of groups that L1 has written.
    case cleanFields
  }
}
