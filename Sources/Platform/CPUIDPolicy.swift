import X86

/// What CPUID tells L1: a table of leaves, fixed when the machine is made.
///
/// A feature is promised only if the software processor has it and L0 virtualizes it. What depends on L1's own state
/// (OSXSAVE, OSPKE) is for the caller to add.
public struct CPUIDPolicy: Sendable {
  /// One row of the table.
  struct Leaf: Sendable {
    var number: UInt32
    /// The subleaf that the row answers for, or nil if the leaf has none.
    var subleaf: UInt32?
    var result: CPUIDResult
  }

  /// The 12 characters by which L1 recognises this hypervisor (leaf 40000000H).
  public static let hypervisorSignature: StaticString = "TestudoL0VMM"
  /// Physical-address bits, as leaf 80000008H reports them.
  public static let physicalAddressBits: UInt32 = 46
  /// Linear-address bits, likewise.
  public static let linearAddressBits: UInt32 = 48

  let leaves: [Leaf]

  /// The leaves of a machine whose virtual TSC runs at `frequency` cycles per second.
  public init(frequency: UInt64) {
    let core: UInt64 = 25_000_000
    let megahertz = UInt32(truncatingIfNeeded: frequency / 1_000_000)
    leaves = [
      Leaf(number: CPUIDLeaf.vendor, result: Self.vendor(highest: CPUIDLeaf.processorFrequency)),
      Leaf(number: CPUIDLeaf.features, result: Self.features),
      Leaf(number: CPUIDLeaf.extendedFeatures, subleaf: 0, result: Self.extendedFeatures),
      Leaf(number: CPUIDLeaf.extendedTopology, subleaf: 0, result: CPUIDResult(ebx: 1, ecx: 1 << 8)),
      Leaf(number: CPUIDLeaf.extendedTopology, subleaf: 1, result: CPUIDResult(ebx: 1, ecx: 2 << 8 | 1)),
      Leaf(
        number: CPUIDLeaf.timeStampCounter,
        result: CPUIDResult(
          eax: 1, ebx: UInt32(truncatingIfNeeded: frequency / core), ecx: UInt32(truncatingIfNeeded: core))),
      Leaf(
        number: CPUIDLeaf.processorFrequency,
        result: CPUIDResult(eax: megahertz, ebx: megahertz, ecx: UInt32(truncatingIfNeeded: core / 1_000_000))
      ),
      Leaf(
        number: CPUIDLeaf.hypervisorVendor,
        result: Self.signature(Self.hypervisorSignature, eax: CPUIDLeaf.hypervisorVendor)),
      Leaf(
        number: CPUIDLeaf.extendedMaximum, result: CPUIDResult(eax: CPUIDLeaf.addressSizes)),
      Leaf(number: CPUIDLeaf.extendedSignature, result: Self.extendedSignature),
      Leaf(number: CPUIDLeaf.brandString, result: Self.brand(part: 0)),
      Leaf(number: CPUIDLeaf.brandString + 1, result: Self.brand(part: 1)),
      Leaf(number: CPUIDLeaf.brandString + 2, result: Self.brand(part: 2)),
      Leaf(number: CPUIDLeaf.advancedPower, result: CPUIDResult(edx: 1 << 8)),
      Leaf(
        number: CPUIDLeaf.addressSizes,
        result: CPUIDResult(eax: Self.linearAddressBits << 8 | Self.physicalAddressBits)),
    ]
  }

  /// What CPUID returns for `leaf` in EAX and `subleaf` in ECX. A leaf above the highest returns what the highest basic
  /// leaf does; a reserved one returns zeros.
  ///
  /// Source: SDM volume 2, "CPUID—CPU Identification".
  public func result(leaf: UInt32, subleaf: UInt32) -> CPUIDResult {
    let leaf = Self.isBeyond(leaf) ? CPUIDLeaf.processorFrequency : leaf
    for row in leaves where row.number == leaf && (row.subleaf == nil || row.subleaf == subleaf) {
      return row.result
    }
    return CPUIDResult()
  }

  /// Whether `leaf` is above the highest of its range: basic, extended, or (SDM: never existing) any other but ours.
  static func isBeyond(_ leaf: UInt32) -> Bool {
    switch leaf >> 28 {
    case 0: leaf > CPUIDLeaf.processorFrequency
    case 8: leaf > CPUIDLeaf.addressSizes
    default: leaf >> 8 != CPUIDLeaf.hypervisorVendor >> 8
    }
  }
}

// MARK: Leaves

extension CPUIDPolicy {
  static func vendor(highest: UInt32) -> CPUIDResult {
    CPUIDResult(eax: highest, ebx: word("Genu"), ecx: word("ntel"), edx: word("ineI"))
  }

  /// Family 6, model 5EH, stepping 3: a Skylake, whose VMX has VMCS shadowing and all else that is promised here.
  static let processorSignature: UInt32 = 0x0005_06E3

  static let features: CPUIDResult = {
    let ecx: CPUIDFeaturesECX = [.vmx, .cmpxchg16b, .pcid, .movbe, .popcnt, .hypervisor]
    let edx: CPUIDFeaturesEDX = [
      .de, .pse, .tsc, .msr, .pae, .cx8, .sep, .pge, .cmov, .pat, .pse36, .clfsh,
    ]
    let oneProcessorWithLinesOf64Bytes: UInt32 = 1 << 16 | 8 << 8
    return CPUIDResult(
      eax: processorSignature, ebx: oneProcessorWithLinesOf64Bytes, ecx: ecx.rawValue, edx: edx.rawValue)
  }()

  static let extendedFeatures: CPUIDResult = {
    let ebx: CPUIDExtendedFeaturesEBX = [
      .fsgsbase, .bmi1, .smep, .bmi2, .erms, .invpcid, .adx, .smap,
    ]
    let ecx: CPUIDExtendedFeaturesECX = [.umip]
    return CPUIDResult(ebx: ebx.rawValue, ecx: ecx.rawValue)
  }()

  static let extendedSignature: CPUIDResult = {
    let ecx: CPUIDExtendedSignatureECX = [.lahf, .lzcnt, .prefetchw]
    let edx: CPUIDExtendedSignatureEDX = [.syscall, .executeDisable, .pages1GByte, .rdtscp, .intel64]
    return CPUIDResult(ecx: ecx.rawValue, edx: edx.rawValue)
  }()

  /// The processor brand string: 48 bytes, 16 in each of three leaves.
  static func brand(part: Int) -> CPUIDResult {
    let text = Array("Testudo software processor".utf8)
    let padded = text + Array(repeating: 0, count: 48 - text.count)
    func word(_ index: Int) -> UInt32 {
      let start = part * 16 + index * 4
      return padded[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
    return CPUIDResult(eax: word(0), ebx: word(1), ecx: word(2), edx: word(3))
  }

  /// 12 characters in EBX, ECX and EDX.
  static func signature(_ text: StaticString, eax: UInt32) -> CPUIDResult {
    let bytes = text.withUTF8Buffer { Array($0) }
    func word(_ index: Int) -> UInt32 {
      bytes.dropFirst(index * 4).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
    return CPUIDResult(eax: eax, ebx: word(0), ecx: word(1), edx: word(2))
  }

  /// Four characters as a register holds them.
  private static func word(_ text: StaticString) -> UInt32 {
    text.withUTF8Buffer { $0.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
  }
}
