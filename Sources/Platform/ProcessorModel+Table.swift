import X86

// The models, oldest first. Each has what the one before it has, and what came with it. Features that no processor of
// this package has (TSX, MPX, SGX, AVX-512, SHA…) are left out.
extension ProcessorModel {
  public static let all: [ProcessorModel] = [
    nehalem, westmere, sandybridge, ivybridge, haswell, broadwell, skylake, icelake, sapphirerapids, max,
  ]

  package static let nehalem = ProcessorModel(
    name: "nehalem", title: "Nehalem", signature: 0x0001_06A5,
    features: ProcessorFeatures(
      featuresECX: [.sse3, .ssse3, .cmpxchg16b, .sse41, .sse42, .popcnt],
      featuresEDX: [
        .fpu, .vme, .de, .pse, .tsc, .msr, .pae, .mce, .cx8, .apic, .sep, .mtrr, .pge, .mca, .cmov, .pat,
        .pse36,
        .clfsh, .mmx, .fxsr, .sse, .sse2,
      ],
      signatureECX: [.lahf], signatureEDX: [.syscall, .executeDisable, .rdtscp, .intel64]),
    apicVirtualization: .taskPriority)

  package static let westmere = nehalem.successor(
    "westmere", "Westmere", 0x0002_06C1,
    ProcessorFeatures(featuresECX: [.pclmulqdq, .pcid, .aes], signatureEDX: [.pages1GByte]))

  package static let sandybridge = westmere.successor(
    "sandybridge", "Sandy Bridge", 0x0002_06D7,
    ProcessorFeatures(featuresECX: [.xsave, .avx], extendedState: [.xsaveopt]))

  package static let ivybridge = sandybridge.successor(
    "ivybridge", "Ivy Bridge", 0x0003_06E4,
    ProcessorFeatures(featuresECX: [.f16c, .rdrand], extendedEBX: [.fsgsbase, .smep, .erms]),
    apicVirtualization: .interrupts)

  package static let haswell = ivybridge.successor(
    "haswell", "Haswell", 0x0003_06C3,
    ProcessorFeatures(
      featuresECX: [.fma, .movbe], extendedEBX: [.bmi1, .avx2, .bmi2, .invpcid], signatureECX: [.lzcnt]))

  package static let broadwell = haswell.successor(
    "broadwell", "Broadwell", 0x0004_06F1,
    ProcessorFeatures(extendedEBX: [.rdseed, .adx, .smap], signatureECX: [.prefetchw]))

  package static let skylake = broadwell.successor(
    "skylake", "Skylake", 0x0005_06E3,
    ProcessorFeatures(extendedEBX: [.clflushopt], extendedState: [.xsavec, .xgetbv1, .xsaves]))

  package static let icelake = skylake.successor(
    "icelake", "Ice Lake", 0x0006_06A6,
    ProcessorFeatures(
      extendedEBX: [.clwb], extendedECX: [.umip, .pku, .rdpid], extendedEDX: [.fastShortREPMOV]))

  package static let sapphirerapids = icelake.successor(
    "sapphirerapids", "Sapphire Rapids", 0x0008_06F8,
    ProcessorFeatures(extendedECX: [.waitpkg, .la57, .movdiri, .movdir64b], extendedEDX: [.serialize]))

  /// Whatever the processor has, under the signature of the newest model.
  package static let max = ProcessorModel(
    name: "max", title: "everything", signature: sapphirerapids.signature,
    features: ProcessorFeatures(
      featuresECX: .everything, featuresEDX: .everything, extendedEBX: .everything, extendedECX: .everything,
      extendedEDX: .everything, signatureECX: .everything, signatureEDX: .everything,
      extendedState: .everything),
    apicVirtualization: .interrupts)

  private func successor(
    _ name: String, _ title: String, _ signature: UInt32, _ added: ProcessorFeatures,
    apicVirtualization: APICVirtualization? = nil
  ) -> ProcessorModel {
    ProcessorModel(
      name: name, title: title, signature: signature, features: features.union(added),
      apicVirtualization: apicVirtualization ?? self.apicVirtualization)
  }
}

extension OptionSet where RawValue == UInt32 {
  fileprivate static var everything: Self { Self(rawValue: .max) }
}
