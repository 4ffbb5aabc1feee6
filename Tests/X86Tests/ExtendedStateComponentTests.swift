import Testing
import X86

/// CPUID leaf 0DH, as the SDM and its processors have it.
@Suite struct ExtendedStateComponentTests {
  @Test func sizesFollowTheEnabledComponents() {
    let sizes: [(xcr0: UInt64, standard: UInt32, compacted: UInt32)] = [
      (1, 576, 576), (3, 576, 576), (7, 832, 832),
    ]
    for row in sizes {
      let main = ExtendedStateComponent.cpuid(subleaf: 0, xcr0: row.xcr0)
      #expect(main == CPUIDResult(eax: 7, ebx: row.standard, ecx: 832))
      let features = ExtendedStateComponent.cpuid(subleaf: 1, xcr0: row.xcr0)
      #expect(features == CPUIDResult(eax: 0xF, ebx: row.compacted))
    }
    #expect(ExtendedStateComponent.cpuid(subleaf: 2, xcr0: 7) == CPUIDResult(eax: 256, ebx: 576))
    for subleaf: UInt32 in [3, 9, 62, 63, .max] {
      #expect(ExtendedStateComponent.cpuid(subleaf: subleaf, xcr0: 7) == CPUIDResult())
    }
  }

  @Test func olderModelsHaveLess() {
    let main = ExtendedStateComponent.cpuid(subleaf: 0, xcr0: 3, supported: 3)
    #expect(main == CPUIDResult(eax: 3, ebx: 576, ecx: 576))
    let features = ExtendedStateComponent.cpuid(subleaf: 1, xcr0: 3, supported: 3, features: .xsaveopt)
    #expect(features == CPUIDResult(eax: 1))
    #expect(ExtendedStateComponent.cpuid(subleaf: 2, xcr0: 3, supported: 3) == CPUIDResult())
  }
}
