import GuestMemory
import Hypervisor
import NestedVMX
import Processor
import SoftwareProcessor
import VMX

/// The whole of L0 on the software processor, under an L1 that enters the VMCSs of a ``RigScript``.
package struct Rig {
  /// How a machine's run ended, and what was known of the VMCS that it ended with, if it did not come to the end.
  package struct End {
    package var result: RunResult
    package var report: RigReport?
  }

  package struct ProcessorUnavailable: Error {}

  /// Whether L1 is in 64-bit mode, else in 32-bit protected mode with paging.
  package var is64Bit = true
  package var policy = NestedPolicy(eptComposition: .ahead)

  package init() {}

  /// Runs one machine until the script ends, or a VMCS ends the machine.
  package func run(_ script: any RigScript) throws -> End {
    let code = is64Bit ? RigProgram.code64 : RigProgram.code32
    var configuration = MachineConfiguration(image: CodeImage(code).image)
    configuration.bootProtocol = is64Bit ? .entry64 : .pvh
    configuration.memorySize = RigPlace.memorySize
    configuration.nested = policy
    configuration.model = Self.model
    let machine = try Machine(configuration) { memory in
      guard let processor = SoftwareCPU(memory: memory) else { throw ProcessorUnavailable() }
      return DirectedProcessor(processor, script)
    }
    machine.processor.rigMemory.initialize()
    let result = machine.run()
    return End(result: result, report: machine.processor.takeReport())
  }

  /// The model that has every control.
  package static let model = Hypervisor.ProcessorModel.named("max") ?? .standard

  /// What L0 offers L1 here.
  package static let offered = VirtualCapabilities.offered(
    on: SoftwareCPU.capabilities.restricted(to: model, features: model.features(on: SoftwareCPU.features)),
    without: VMXCapabilities.controls(laterThan: model))

  /// The fields that L1's VMCS has and L1 has reason to write.
  package static let fields: [VMCSField] = (0..<VMCSField.count).map { VMCSField.rows[$0].field }.filter {
    $0.exists(on: offered) && $0.area != .readOnlyData
  }
}
