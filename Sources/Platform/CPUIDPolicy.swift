import X86

/// What CPUID tells L1: a table of leaves, fixed when the machine is made.
///
/// A feature is promised only if the processor has it or L0 virtualizes it, and the model has it. What depends on L1's
/// own state is computed when it is asked for.
public struct CPUIDPolicy: Sendable {
  /// One row of the table.
  struct Leaf: Sendable {
    var number: UInt32
    /// The subleaf that the row answers for, or nil if the leaf has none.
    var subleaf: UInt32?
    var result: CPUIDResult
  }

  /// The state of a virtual CPU that CPUID depends on.
  public struct Circumstances: Sendable {
    public var cr4: CR4
    public var xcr0: UInt64
    public var xss: UInt64
    /// Whether IA32_APIC_BASE enables the local APIC.
    public var hasLocalAPIC: Bool
    public var miscEnable: MiscEnable

    public init(
      cr4: CR4 = [], xcr0: UInt64 = ExtendedStateComponent.x87, xss: UInt64 = 0, hasLocalAPIC: Bool = true,
      miscEnable: MiscEnable = .initial
    ) {
      self.cr4 = cr4
      self.xcr0 = xcr0
      self.xss = xss
      self.hasLocalAPIC = hasLocalAPIC
      self.miscEnable = miscEnable
    }
  }

  /// The 12 characters by which L1 recognises this hypervisor (leaf 40000000H).
  public static let hypervisorSignature: StaticString = "TestudoL0VMM"
  /// Physical-address bits, as leaf 80000008H reports them.
  public static let physicalAddressBits: UInt32 = 46
  /// Linear-address bits, likewise.
  public static let linearAddressBits: UInt32 = 48
  /// IA32_ARCH_CAPABILITIES: what no processor that speculates would say of itself. Immune to rogue data cache loads
  /// (bit 0), L1TF (3), speculative store bypass (4), MDS (5), page-size changes (6), TAA (8), stale MMIO data (13 to
  /// 15), branch history injection (20), post-barrier RSB (24), gather data sampling (26) and register file sampling
  /// (27).
  ///
  /// Source: SDM volume 4, "IA32_ARCH_CAPABILITIES".
  public static let archCapabilities: UInt64 = 0x0D10_E179

  let leaves: [Leaf]
  /// What the virtual CPU has.
  public let features: ProcessorFeatures

  /// The leaves of virtual CPU `processor` (from 0) of `count`, of `model` on a processor that has `available`, whose
  /// virtual TSC runs at `frequency` cycles per second.
  public init(
    frequency: UInt64, model: ProcessorModel, available: ProcessorFeatures, processor: Int = 0, count: Int = 1
  ) {
    let features = model.features(on: available)
    self.features = features
    let topology = ProcessorTopology(
      identifier: UInt32(truncatingIfNeeded: processor), count: UInt32(truncatingIfNeeded: max(1, count)))
    leaves = Self.basic(model, features, topology, frequency) + Self.extended(model, features)
  }

  /// What CPUID returns for `leaf` in EAX and `subleaf` in ECX. A leaf above the highest returns what the highest basic
  /// leaf does; a reserved one returns zeros.
  ///
  /// Source: SDM volume 2, "CPUID—CPU Identification".
  public func result(leaf: UInt32, subleaf: UInt32, _ circumstances: Circumstances = Circumstances())
    -> CPUIDResult
  {
    let highest = circumstances.miscEnable.highestBasicLeaf
    let leaf = Self.isBeyond(leaf, highest: highest) ? highest : leaf
    if leaf == CPUIDLeaf.extendedState { return extendedState(subleaf, circumstances) }
    for row in leaves where row.number == leaf && (row.subleaf == nil || row.subleaf == subleaf) {
      return row.result.completed(leaf, circumstances)
    }
    // Of the topology's levels beyond the last, the level number and the identifier are valid all the same.
    return leaf == CPUIDLeaf.extendedTopology ? topologyEnd(subleaf) : CPUIDResult()
  }

  /// Whether `leaf` is above the highest of its range: basic, extended, or (SDM: never existing) any other but ours.
  static func isBeyond(_ leaf: UInt32, highest: UInt32 = CPUIDLeaf.processorFrequency) -> Bool {
    switch leaf >> 28 {
    case 0: leaf > highest
    case 8: leaf > CPUIDLeaf.addressSizes
    default: leaf >> 8 != CPUIDLeaf.hypervisorVendor >> 8
    }
  }

  private func extendedState(_ subleaf: UInt32, _ circumstances: Circumstances) -> CPUIDResult {
    guard features.featuresECX.contains(.xsave) else { return CPUIDResult() }
    return ExtendedStateComponent.cpuid(
      subleaf: subleaf, xcr0: circumstances.xcr0, xss: circumstances.xss, supported: features.components,
      features: features.extendedState)
  }

  private func topologyEnd(_ subleaf: UInt32) -> CPUIDResult {
    let identifier = leaves.first { $0.number == CPUIDLeaf.extendedTopology }?.result.edx
    return CPUIDResult(ecx: subleaf & 0xFF, edx: identifier ?? 0)
  }
}

extension CPUIDResult {
  /// With what depends on the virtual CPU's state: the bits that mirror CR4 (OSXSAVE and OSPKE), that of a local APIC
  /// which is enabled, and what IA32_MISC_ENABLE takes away.
  fileprivate func completed(_ leaf: UInt32, _ circumstances: CPUIDPolicy.Circumstances) -> CPUIDResult {
    var result = self
    let miscEnable = circumstances.miscEnable
    switch leaf {
    case CPUIDLeaf.vendor: result.eax = miscEnable.highestBasicLeaf
    case CPUIDLeaf.features:
      if circumstances.cr4.contains(.osxsave) { result.ecx |= CPUIDFeaturesECX.osxsave.rawValue }
      if !circumstances.hasLocalAPIC { result.edx &= ~CPUIDFeaturesEDX.apic.rawValue }
      if !miscEnable.contains(.monitor) { result.ecx &= ~CPUIDFeaturesECX.monitor.rawValue }
    case CPUIDLeaf.extendedFeatures:
      if circumstances.cr4.contains(.pke) { result.ecx |= CPUIDExtendedFeaturesECX.ospke.rawValue }
    case CPUIDLeaf.extendedSignature:
      if miscEnable.contains(.executeDisableOff) {
        result.edx &= ~CPUIDExtendedSignatureEDX.executeDisable.rawValue
      }
    default: break
    }
    return result
  }
}

extension MiscEnable {
  /// The highest basic leaf: 2 under the limit that operating systems of old needed.
  fileprivate var highestBasicLeaf: UInt32 {
    contains(.limitCPUID) ? CPUIDLeaf.caches : CPUIDLeaf.processorFrequency
  }
}
