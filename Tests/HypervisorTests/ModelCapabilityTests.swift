import Hypervisor
import Platform
import Testing
import VMX

/// What L1's capability MSRs promise by the processor model.
@Suite struct ModelCapabilityTests {
  private static let arrivals: [(SecondaryProcessorBasedControls, last: String, first: String)] = [
    (.vmcsShadowing, "ivybridge", "haswell"), (.enableVMFunctions, "ivybridge", "haswell"),
    (.enablePML, "haswell", "broadwell"), (.useTSCScaling, "broadwell", "skylake"),
    (.modeBasedExecuteControlForEPT, "broadwell", "skylake"),
  ]

  private func allows(_ control: SecondaryProcessorBasedControls, _ name: String) throws -> Bool {
    let model = try #require(ProcessorModel.all.first { $0.name == name })
    let restricted = VMXCapabilities.everything.restricted(to: model, features: model.features)
    return restricted.allows(control)
  }

  @Test func controlsArriveWithTheirModels() throws {
    for (control, last, first) in Self.arrivals {
      #expect(try !allows(control, last), "\(control) on \(last)")
      #expect(try allows(control, first), "\(control) on \(first)")
      #expect(try allows(control, "max"))
    }
  }
}
