import Platform
import Testing
import X86

private func text(_ words: UInt32...) -> String {
  let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  return String(decoding: bytes, as: UTF8.self)
}

/// A processor that has whatever can be asked for.
private let everything = ProcessorModel.max.features

private func policy(
  frequency: UInt64 = 1_000_000_000, model: ProcessorModel = .standard,
  available: ProcessorFeatures = everything, processor: Int = 0, count: Int = 1
) -> CPUIDPolicy {
  CPUIDPolicy(
    frequency: frequency, model: model, available: available, processor: processor, count: count)
}

@Suite struct CPUIDPolicyTests {
  let standard = policy()

  @Test func theVendorsAreSpelledAcrossRegisters() {
    let vendor = standard.result(leaf: 0, subleaf: 0)
    #expect(text(vendor.ebx, vendor.edx, vendor.ecx) == "GenuineIntel")
    let hypervisor = standard.result(leaf: 0x4000_0000, subleaf: 0)
    #expect(text(hypervisor.ebx, hypervisor.ecx, hypervisor.edx) == "TestudoL0VMM")
  }

  /// SDM volume 2, leaf 15H: the TSC's frequency is ECX × EBX / EAX; leaf 16H's base frequency is in MHz.
  @Test(arguments: [1_000_000_000, 2_500_000_000, 2_894_561_000] as [UInt64])
  func theFrequencyLeavesAgreeWithTheVirtualTSC(_ frequency: UInt64) {
    let policy = policy(frequency: frequency)
    let ratio = policy.result(leaf: 0x15, subleaf: 0)
    #expect(UInt64(ratio.ecx) * UInt64(ratio.ebx) / UInt64(ratio.eax) == frequency)
    #expect(UInt64(ratio.ecx) == PlatformAddresses.crystalFrequency)
    #expect(UInt64(policy.result(leaf: 0x16, subleaf: 0).eax) == frequency / 1_000_000)
  }

  /// SDM volume 2, CPUID: above the highest leaf, the highest basic leaf's data are returned.
  @Test func leavesBeyondTheHighestReadAsTheHighestBasicLeaf() {
    let highest = standard.result(leaf: standard.result(leaf: 0, subleaf: 0).eax, subleaf: 0)
    #expect(highest != CPUIDResult())
    for leaf: UInt32 in [0x17, 0x8000_0009, 0xFFFF_FFFF, 0x7000_0000] {
      #expect(standard.result(leaf: leaf, subleaf: 0) == highest)
    }
    #expect(standard.result(leaf: 3, subleaf: 0) == CPUIDResult())
    #expect(standard.result(leaf: 7, subleaf: 1) == CPUIDResult())
  }

  @Test func addressSizesAre46And48Bits() {
    #expect(standard.result(leaf: 0x8000_0008, subleaf: 0).eax == 0x302E)
  }

  /// SDM volume 3, "Local APIC Status and Location"; volume 4, IA32_MISC_ENABLE.
  @Test func whatIsTurnedOffIsNotReported() {
    func result(_ leaf: UInt32, _ circumstances: CPUIDPolicy.Circumstances) -> CPUIDResult {
      standard.result(leaf: leaf, subleaf: 0, circumstances)
    }
    let plain = CPUIDPolicy.Circumstances()
    let withoutAPIC = CPUIDPolicy.Circumstances(hasLocalAPIC: false)
    #expect(result(1, plain).edx ^ result(1, withoutAPIC).edx == CPUIDFeaturesEDX.apic.rawValue)
    let withoutMonitor = CPUIDPolicy.Circumstances(miscEnable: MiscEnable.initial.subtracting(.monitor))
    #expect(result(1, plain).ecx ^ result(1, withoutMonitor).ecx == CPUIDFeaturesECX.monitor.rawValue)
    let limited = CPUIDPolicy.Circumstances(miscEnable: MiscEnable.initial.union(.limitCPUID))
    #expect(result(0, limited).eax == 2)
    #expect(result(4, limited) == result(2, plain))
    #expect(result(0x8000_0001, limited) == result(0x8000_0001, plain))
    let withoutXD = CPUIDPolicy.Circumstances(miscEnable: MiscEnable.initial.union(.executeDisableOff))
    #expect(
      result(0x8000_0001, plain).edx ^ result(0x8000_0001, withoutXD).edx
        == CPUIDExtendedSignatureEDX.executeDisable.rawValue)
  }

  // MARK: Models

  /// What a model's counterpart has is promised only as far as the processor has it; what L0 gives is always there.
  @Test func aModelPromisesNothingThatTheProcessorLacks() {
    let few = ProcessorFeatures(featuresECX: [.sse3], featuresEDX: [.fpu, .tsc])
    let leaf = policy(available: few).result(leaf: 1, subleaf: 0)
    #expect(
      CPUIDFeaturesECX(rawValue: leaf.ecx) == [.sse3, .monitor, .vmx, .x2apic, .tscDeadline, .hypervisor])
    #expect(CPUIDFeaturesEDX(rawValue: leaf.edx) == [.fpu, .tsc, .apic, .mtrr, .mca, .mce])
  }

  @Test func eachModelHasWhatTheOneBeforeItHas() {
    for (older, newer) in zip(ProcessorModel.all, ProcessorModel.all.dropFirst()) {
      #expect(older.features.isSubset(of: newer.features), "\(newer.name)")
      #expect(ProcessorModel.named(newer.name)?.title == newer.title)
    }
    #expect(Set(ProcessorModel.all.map(\.name)).count == ProcessorModel.all.count)
    #expect(ProcessorModel.named("pentium") == nil)
  }

  @Test func featuresCanBeTakenAway() throws {
    let model = try #require(ProcessorModel.named("haswell,-x2apic,-pcid"))
    let features = model.features(on: everything)
    #expect(!features.featuresECX.contains(.x2apic) && !features.featuresECX.contains(.pcid))
    #expect(!features.controlRegister4.contains(.pcide))
    #expect(features.featuresECX.contains(.tscDeadline))
    for name in ["haswell,", "haswell,x2apic", "haswell,-", "haswell,-x2apic,-lightning", ",-x2apic"] {
      #expect(ProcessorModel.named(name) == nil, "\(name)")
    }
    // None is taken away that something else needs: AVX2 without AVX, AVX without XSAVE.
    for removable in ProcessorModel.removable {
      let left = try #require(ProcessorModel.named("max,-\(removable.name)")).features(on: everything)
      #expect(left.featuresECX.contains(.avx) || !left.extendedEBX.contains(.avx2))
      #expect(left.featuresECX.contains(.xsave) || !left.featuresECX.contains(.avx))
      #expect(left != ProcessorModel.max.features(on: everything))
    }
  }

  /// The signatures and what marks a generation, by Intel's own documents.
  @Test(arguments: [
    ("nehalem", 0x106A5, false, false), ("sandybridge", 0x206D7, true, false),
    ("haswell", 0x306C3, true, true),
    ("icelake", 0x606A6, true, true),
  ])
  func generationsDiffer(_ name: String, _ signature: UInt32, _ hasAVX: Bool, _ hasAVX2: Bool) throws {
    let policy = policy(model: try #require(ProcessorModel.named(name)))
    #expect(policy.result(leaf: 1, subleaf: 0).eax == signature)
    #expect(policy.features.featuresECX.contains(.avx) == hasAVX)
    #expect(policy.features.extendedEBX.contains(.avx2) == hasAVX2)
  }

  @Test func theStandardModelIsTheFirstWithVMCSShadowing() {
    #expect(ProcessorModel.standard.name == "haswell")
  }

  @Test func theBrandNamesTheModel() {
    let parts = (0..<3).map { standard.result(leaf: 0x8000_0002 + $0, subleaf: 0) }
    let words = parts.flatMap { [$0.eax, $0.ebx, $0.ecx, $0.edx] }
    let brand = words.map { text($0) }.joined()
    #expect(brand.hasPrefix("Testudo software processor (Haswell)\0"))
  }

  // MARK: State

  @Test func osxsaveMirrorsCR4() {
    let mask = CPUIDFeaturesECX.osxsave.rawValue
    #expect(standard.result(leaf: 1, subleaf: 0).ecx & mask == 0)
    #expect(standard.result(leaf: 1, subleaf: 0, .init(cr4: .osxsave)).ecx & mask != 0)
  }

  /// Leaf 0DH follows the model: Nehalem has no XSAVE, Sandy Bridge has AVX, Skylake has XSAVES.
  @Test func extendedStateFollowsTheModel() {
    #expect(policy(model: .nehalem).result(leaf: 0xD, subleaf: 0) == CPUIDResult())
    let old = policy(model: .sandybridge)
    #expect(old.result(leaf: 0xD, subleaf: 0, .init(xcr0: 7)) == CPUIDResult(eax: 7, ebx: 832, ecx: 832))
    #expect(old.result(leaf: 0xD, subleaf: 0, .init(xcr0: 3)).ebx == 576)
    #expect(old.result(leaf: 0xD, subleaf: 1).eax == 1)
    #expect(policy(model: .skylake).result(leaf: 0xD, subleaf: 1).eax == 0xF)
  }

  @Test func bitsOfCR4ComeWithTheirFeatures() {
    let old = ProcessorModel.nehalem.controlRegister4(on: everything)
    #expect(old.isDisjoint(with: [.pcide, .osxsave, .smep, .smap, .fsgsbase, .umip]))
    #expect(old.isSuperset(of: [.pae, .pge, .osfxsr, .vmxe]))
    #expect(ProcessorModel.icelake.controlRegister4(on: everything).isSuperset(of: [.umip, .smap, .pcide]))
  }

  // MARK: Topology

  /// SDM volume 3, "Identifying Topological Relationships in a MP System".
  @Test(arguments: [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6)] as [(Int, UInt32)])
  func theTopologyCountsCores(_ count: Int, _ bits: UInt32) {
    for processor in [0, count - 1] {
      let policy = policy(processor: processor, count: count)
      let identifier = UInt32(processor)
      #expect(policy.result(leaf: 1, subleaf: 0).ebx >> 24 == identifier)
      #expect(policy.result(leaf: 1, subleaf: 0).ebx >> 16 & 0xFF == 1 << bits)
      #expect(policy.features.featuresEDX.contains(.htt) == false)
      #expect(policy.result(leaf: 1, subleaf: 0).edx >> 28 & 1 == (count > 1 ? 1 : 0))
      #expect(
        policy.result(leaf: 0xB, subleaf: 0) == CPUIDResult(eax: 0, ebx: 1, ecx: 0x100, edx: identifier))
      #expect(
        policy.result(leaf: 0xB, subleaf: 1)
          == CPUIDResult(eax: bits, ebx: UInt32(count), ecx: 0x201, edx: identifier))
      #expect(policy.result(leaf: 0xB, subleaf: 2) == CPUIDResult(ecx: 2, edx: identifier))
      #expect(policy.result(leaf: 4, subleaf: 0).eax >> 26 == (1 << bits) - 1)
    }
  }

  /// SDM volume 2, leaf 4: ways, partitions, lines and sets give the size.
  @Test(arguments: [(0, 32), (1, 32), (2, 256), (3, 8192)] as [(UInt32, UInt32)])
  func cachesHaveTheirSizes(_ subleaf: UInt32, _ kilobytes: UInt32) {
    let cache = standard.result(leaf: 4, subleaf: subleaf)
    let ways = (cache.ebx >> 22) + 1
    let partitions = (cache.ebx >> 12 & 0x3FF) + 1
    let line = (cache.ebx & 0xFFF) + 1
    #expect(ways * partitions * line * (cache.ecx + 1) == kilobytes << 10)
    #expect(standard.result(leaf: 4, subleaf: 4) == CPUIDResult())
  }
}
