import VMX

/// Who translates L2's linear addresses by what: the three memory designs of the Turtles project, which are named by what
/// L1 uses for L2 and what L0 uses for L1.
///
/// Source: Ben-Yehuda et al., "The Turtles Project: Design and Implementation of Nested Virtualization" (OSDI 2010),
/// "Nested MMU Virtualization". Its shadow page tables are the active page-table hierarchies of the SDM.
public enum MemoryDesign: String, CaseIterable, Sendable {
  /// L1 has EPT for L2, which L0 composes with ept01: the paper's multi-dimensional paging.
  case eptOnEPT = "ept-on-ept"
  /// L1 has no EPT, and translates for L2 itself; L0 runs L2 on what L1 made, over ept01.
  case shadowOnEPT = "shadow-on-ept"
  /// Neither has EPT: L0 translates for L1, and translates what L1 made for L2 once more.
  case shadowOnShadow = "shadow-on-shadow"

  /// Whether L1 is offered EPT.
  public var offersEPT: Bool { self == .eptOnEPT }
  /// Whether the processor runs L1 and L2 with EPT.
  public var usesEPT: Bool { self != .shadowOnShadow }

  /// The controls that L1 is not offered because they are of EPT (SDM volume 3, "Checks on VMX Controls").
  var withheld: SecondaryProcessorBasedControls {
    guard !offersEPT else { return [] }
    return [
      .enableEPT, .unrestrictedGuest, .enablePML, .eptViolationVE, .modeBasedExecuteControlForEPT,
      .enableVMFunctions,
    ]
  }
}
