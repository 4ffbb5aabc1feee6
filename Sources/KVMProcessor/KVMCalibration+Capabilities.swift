import SoftwareProcessor
import VMX

/// A VMX capability that depends on what a host's KVM does.
private struct CalibratedCapability {
  /// What people call it.
  var name: String
  var remove: @Sendable (inout VMXCapabilities) -> Void
  /// What is in its way, or nil if it can be had.
  var obstacle: @Sendable (KVMCalibration) -> String?

  /// Whatever is not in this table, the software processor does alone.
  static let all = [
    // Pages that can be executed and not read are never lent, and a load from one has to be seen.
    CalibratedCapability(name: "execute-only pages of EPT", remove: { $0.eptAndVPID.remove(.executeOnly) }) {
      $0.missedLoads == .unusable ? "a load from a missing page is \($0.missedLoads.meaning)" : nil
    },
    // A page is mapped when its flags are set, so what sets them is an access to a missing page that the software processor
    // executes; a page that is executed can be mapped before its dirty flag is set, and is read-only.
    CalibratedCapability(
      name: "accessed and dirty flags of EPT", remove: { $0.eptAndVPID.remove(.accessedAndDirtyFlags) }
    ) {
      if $0.missedLoads == .unusable { return "a load from a missing page is \($0.missedLoads.meaning)" }
      if $0.missedStores != .fault { return "a store to a missing page is \($0.missedStores.meaning)" }
      if $0.readOnlyStores != .fault { return "a store to a read-only page is \($0.readOnlyStores.meaning)" }
      return nil
    },
  ]
}

extension KVMCalibration {
  /// A VMX capability that a guest is not offered.
  public struct Withheld: Equatable, Sendable {
    public var capability: String
    /// What was found that is in the way.
    public var reason: String
  }

  /// The VMX capabilities of a processor on this host: those of the software processor inside, but what would need to be
  /// seen of plain instructions and is not.
  public var capabilities: VMXCapabilities {
    var value = SoftwareCPU.capabilities
    for row in CalibratedCapability.all where row.obstacle(self) != nil { row.remove(&value) }
    return value
  }

  /// What is missing there of the software processor's capabilities, and why.
  public var withheld: [Withheld] {
    CalibratedCapability.all.compactMap { row in
      row.obstacle(self).map { Withheld(capability: row.name, reason: $0) }
    }
  }
}
