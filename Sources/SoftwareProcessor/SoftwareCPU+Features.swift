import X86

extension SoftwareCPU {
  /// The features that the processor has: every instruction and mechanism named here is complete, and what L0 adds
  /// (VMX, local APIC, MSRs) is not among them.
  public static var features: ProcessorFeatures {
    ProcessorFeatures(
      featuresECX: [
        .sse3, .pclmulqdq, .ssse3, .fma, .cmpxchg16b, .pcid, .sse41, .sse42, .movbe, .popcnt, .aes, .xsave,
        .avx,
        .f16c, .rdrand,
      ],
      featuresEDX: [
        .fpu, .vme, .de, .pse, .tsc, .msr, .pae, .mce, .cx8, .sep, .pge, .cmov, .pat, .pse36, .clfsh, .mmx,
        .fxsr,
        .sse, .sse2,
      ],
      extendedEBX: [
        .fsgsbase, .bmi1, .avx2, .smep, .bmi2, .erms, .invpcid, .rdseed, .adx, .smap, .clflushopt, .clwb,
        .deprecatesFPUSelectors,
      ],
      extendedECX: [.umip, .waitpkg, .rdpid, .movdiri, .movdir64b],
      extendedEDX: [.serialize],
      signatureECX: [.lahf, .lzcnt, .prefetchw],
      signatureEDX: [.syscall, .executeDisable, .pages1GByte, .rdtscp, .intel64],
      extendedState: .all)
  }
}
