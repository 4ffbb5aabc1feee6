import X86

// The features that a model can be told to lack: those whose absence is complete, because a bit of CR4 or XCR0, an MSR
// or a control of VMX goes with it, or because they are instructions that only CPUID tells of.
extension ProcessorModel {
  /// A feature, by the name that Linux has for it.
  public struct Removable: Sendable {
    public let name: String
    let features: ProcessorFeatures

    fileprivate init(_ name: String, _ features: ProcessorFeatures) {
      self.name = name
      self.features = features
    }
  }

  public static let removable: [Removable] = [
    Removable("x2apic", ProcessorFeatures(featuresECX: [.x2apic])),
    Removable("tsc_deadline_timer", ProcessorFeatures(featuresECX: [.tscDeadline])),
    Removable("pge", ProcessorFeatures(featuresEDX: [.pge])),
    Removable("pcid", ProcessorFeatures(featuresECX: [.pcid])),
    Removable("invpcid", ProcessorFeatures(extendedEBX: [.invpcid])),
    Removable("smep", ProcessorFeatures(extendedEBX: [.smep])),
    Removable("smap", ProcessorFeatures(extendedEBX: [.smap])),
    Removable("umip", ProcessorFeatures(extendedECX: [.umip])),
    Removable("la57", ProcessorFeatures(extendedECX: [.la57])),
    Removable("fsgsbase", ProcessorFeatures(extendedEBX: [.fsgsbase])),
    Removable("rdtscp", ProcessorFeatures(signatureEDX: [.rdtscp])),
    Removable("xsaves", ProcessorFeatures(extendedState: [.xsaves])),
    Removable(
      "xsave",
      ProcessorFeatures(
        featuresECX: [.xsave, .avx, .fma, .f16c], extendedEBX: [.avx2],
        extendedState: [.xsaveopt, .xsavec, .xgetbv1, .xsaves])),
    Removable(
      "avx", ProcessorFeatures(featuresECX: [.avx, .fma, .f16c], extendedEBX: [.avx2])),
    Removable("avx2", ProcessorFeatures(extendedEBX: [.avx2])),
    Removable("fma", ProcessorFeatures(featuresECX: [.fma])),
    Removable("aes", ProcessorFeatures(featuresECX: [.aes])),
    Removable("popcnt", ProcessorFeatures(featuresECX: [.popcnt])),
    Removable("movbe", ProcessorFeatures(featuresECX: [.movbe])),
    Removable("rdrand", ProcessorFeatures(featuresECX: [.rdrand])),
    Removable("rdseed", ProcessorFeatures(extendedEBX: [.rdseed])),
    Removable("bmi1", ProcessorFeatures(extendedEBX: [.bmi1])),
    Removable("bmi2", ProcessorFeatures(extendedEBX: [.bmi2])),
    Removable("erms", ProcessorFeatures(extendedEBX: [.erms])),
    Removable("hypervisor", ProcessorFeatures(featuresECX: [.hypervisor])),
  ]
}
