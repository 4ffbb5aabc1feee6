import Platform
import VMX
import X86

extension VMXCapabilities {
  /// Controls that no feature of CPUID tells of, and the first model that has them.
  private static let arrivals: [(controls: SecondaryProcessorBasedControls, first: ProcessorModel)] = [
    ([.vmcsShadowing, .enableVMFunctions], .haswell), ([.enablePML, .eptViolationVE], .broadwell),
    ([.useTSCScaling, .modeBasedExecuteControlForEPT], .skylake),
  ]

  /// The controls that came after `model`.
  package static func controls(laterThan model: ProcessorModel) -> SecondaryProcessorBasedControls {
    arrivals.reduce(into: []) { if model.isOlder(than: $1.first) { $0.formUnion($1.controls) } }
  }

  /// Without what a processor of `model`, which here has `features`, lacks: VM-execution controls for instructions that
  /// it does not have, bits of CR4, and APIC virtualization that came later.
  ///
  /// Source: SDM volume 3, "Secondary Processor-Based VM-Execution Controls" and "VMX-Fixed Bits in CR4".
  package func restricted(to model: ProcessorModel, features: ProcessorFeatures) -> VMXCapabilities {
    var missing: SecondaryProcessorBasedControls = []
    if !features.signatureEDX.contains(.rdtscp) && !features.extendedECX.contains(.rdpid) {
      missing.insert(.enableRDTSCP)
    }
    if !features.extendedEBX.contains(.invpcid) { missing.insert(.enableINVPCID) }
    if !features.featuresECX.contains(.rdrand) { missing.insert(.rdrandExiting) }
    if !features.extendedEBX.contains(.rdseed) { missing.insert(.rdseedExiting) }
    if !features.extendedState.contains(.xsaves) { missing.insert(.enableXSAVES) }
    if !features.extendedECX.contains(.waitpkg) { missing.insert(.enableUserWaitAndPause) }
    missing.formUnion(Self.controls(laterThan: model))
    var restricted = self
    restricted.secondaryProcessorBased &= ~(UInt64(missing.rawValue) << 32)
    if model.apicVirtualization == .taskPriority {
      let later: SecondaryProcessorBasedControls = [.apicRegisterVirtualization, .virtualInterruptDelivery]
      let posted = UInt64(PinBasedControls.processPostedInterrupts.rawValue) << 32
      restricted.secondaryProcessorBased &= ~(UInt64(later.rawValue) << 32)
      restricted.pinBased &= ~posted
      restricted.truePinBased &= ~posted
    }
    restricted.cr4Fixed1 &= features.controlRegister4.union(.smxe).rawValue | cr4Fixed0
    return restricted
  }
}

extension ProcessorModel {
  /// Whether it came before `other`. A model that some features are taken from is as old as it was with them.
  fileprivate func isOlder(than other: ProcessorModel) -> Bool {
    func place(_ model: ProcessorModel) -> Int {
      Self.all.firstIndex { $0.signature == model.signature } ?? Self.all.count
    }
    return place(self) < place(other)
  }
}
