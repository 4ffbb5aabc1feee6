import Platform
import Testing
import X86

private func text(_ words: UInt32...) -> String {
  let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  return String(decoding: bytes, as: UTF8.self)
}

@Suite struct CPUIDPolicyTests {
  let policy = CPUIDPolicy(frequency: 1_000_000_000)

  @Test func theVendorsAreSpelledAcrossRegisters() {
    let vendor = policy.result(leaf: 0, subleaf: 0)
    #expect(text(vendor.ebx, vendor.edx, vendor.ecx) == "GenuineIntel")
    let hypervisor = policy.result(leaf: 0x4000_0000, subleaf: 0)
    #expect(text(hypervisor.ebx, hypervisor.ecx, hypervisor.edx) == "TestudoL0VMM")
  }

  @Test func vmxIsOfferedAndFloatingPointIsNot() {
    let features = policy.result(leaf: 1, subleaf: 0)
    #expect(features.ecx & 1 << 5 != 0)
    #expect(features.ecx & 1 << 31 != 0)
    #expect(features.edx & (1 << 0 | 1 << 9 | 1 << 23 | 1 << 25 | 1 << 26) == 0)
    #expect(policy.result(leaf: 0x8000_0001, subleaf: 0).edx & 1 << 29 != 0)
  }

  /// SDM volume 2, leaf 15H: the TSC's frequency is ECX × EBX / EAX; leaf 16H's base frequency is in MHz.
  @Test(arguments: [1_000_000_000, 2_500_000_000] as [UInt64])
  func theFrequencyLeavesAgreeWithTheVirtualTSC(_ frequency: UInt64) {
    let policy = CPUIDPolicy(frequency: frequency)
    let ratio = policy.result(leaf: 0x15, subleaf: 0)
    #expect(UInt64(ratio.ecx) * UInt64(ratio.ebx) / UInt64(ratio.eax) == frequency)
    #expect(UInt64(policy.result(leaf: 0x16, subleaf: 0).eax) * 1_000_000 == frequency)
  }

  /// SDM volume 2, CPUID: above the highest leaf, the highest basic leaf's data are returned.
  @Test func leavesBeyondTheHighestReadAsTheHighestBasicLeaf() {
    let highest = policy.result(leaf: policy.result(leaf: 0, subleaf: 0).eax, subleaf: 0)
    #expect(highest != CPUIDResult())
    for leaf: UInt32 in [0x17, 0x8000_0009, 0xFFFF_FFFF, 0x7000_0000] {
      #expect(policy.result(leaf: leaf, subleaf: 0) == highest)
    }
    #expect(policy.result(leaf: 3, subleaf: 0) == CPUIDResult())
    #expect(policy.result(leaf: 7, subleaf: 1) == CPUIDResult())
  }

  @Test func addressSizesAre46And48Bits() {
    #expect(policy.result(leaf: 0x8000_0008, subleaf: 0).eax == 0x302E)
  }
}
