import SoftwareProcessor
import VMX

extension KVMCPU {
  /// What the processor can do: all that the software processor inside can, but what would need to be seen of plain
  /// instructions while they run. A virtual CPU's accesses set no flags in the EPT that L0 made, and its mappings cannot
  /// be executed without being read.
  package static let capabilities = makeCapabilities()

  private static func makeCapabilities() -> VMXCapabilities {
    var value = SoftwareCPU.capabilities
    value.eptAndVPID.subtract([.executeOnly, .accessedAndDirtyFlags])
    return value
  }
}
