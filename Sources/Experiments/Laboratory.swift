import Hypervisor
import KVMProcessor
import SoftwareProcessor

/// Where the experiments and the command choose the processor that a machine runs on.
public enum Laboratory {
  /// A machine on the software processor, loaded and ready to run. Throws ``MachineError`` or ``ImageError``.
  public static func machine(_ configuration: MachineConfiguration) throws -> Machine<SoftwareCPU> {
    try Machine(configuration) { memory in
      let features = configuration.model.features(on: SoftwareCPU.features)
      guard let processor = SoftwareCPU(memory: memory, features: features) else {
        throw MachineError.noMemory("the host refused memory for the processor's own tables")
      }
      return processor
    }
  }

  /// The same on the KVM processor. Throws ``KVMError``, too.
  public static func machine(
    _ configuration: MachineConfiguration, intercepts: InterceptMode, lending: Lending,
    device: String = KVMHost.defaultPath
  ) throws -> Machine<KVMCPU> {
    try Machine(configuration) { memory in
      let features = configuration.model.features(on: SoftwareCPU.features)
      return try KVMCPU(
        memory: memory, features: features, intercepts: intercepts, lending: lending, path: device)
    }
  }
}
