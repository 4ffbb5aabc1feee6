import X86

// The leaves that do not depend on a virtual CPU's state.
extension CPUIDPolicy {
  static func basic(
    _ model: ProcessorModel, _ features: ProcessorFeatures, _ topology: ProcessorTopology, _ frequency: UInt64
  ) -> [Leaf] {
    var leaves = [
      // All models have leaves up to 16H, though those before Skylake ended sooner: they spare an operating system from
      // measuring the TSC.
      Leaf(number: CPUIDLeaf.vendor, result: vendor(highest: CPUIDLeaf.processorFrequency)),
      Leaf(number: CPUIDLeaf.features, result: identification(model, features, topology)),
      Leaf(number: CPUIDLeaf.caches, result: CPUIDResult(eax: cachesAreInLeaf4)),
      Leaf(number: CPUIDLeaf.monitor, result: monitor),
      Leaf(number: CPUIDLeaf.thermalAndPower, result: CPUIDResult(eax: timerAlwaysRuns)),
      Leaf(
        number: CPUIDLeaf.extendedFeatures, subleaf: 0,
        result: CPUIDResult(
          ebx: features.extendedEBX.rawValue, ecx: features.extendedECX.rawValue,
          edx: features.extendedEDX.rawValue)),
      Leaf(number: CPUIDLeaf.timeStampCounter, result: timeStampCounter(frequency)),
      Leaf(number: CPUIDLeaf.processorFrequency, result: clocks(frequency)),
      Leaf(
        number: CPUIDLeaf.hypervisorVendor,
        result: signature(hypervisorSignature, eax: CPUIDLeaf.hypervisorVendor)),
    ]
    for (number, cache) in Cache.all.enumerated() {
      leaves.append(
        Leaf(
          number: CPUIDLeaf.cacheParameters, subleaf: UInt32(number), result: cache.parameters(topology)))
    }
    for (number, level) in topology.levels.enumerated() {
      leaves.append(Leaf(number: CPUIDLeaf.extendedTopology, subleaf: UInt32(number), result: level))
    }
    return leaves
  }

  static func extended(_ model: ProcessorModel, _ features: ProcessorFeatures) -> [Leaf] {
    var leaves = [
      Leaf(number: CPUIDLeaf.extendedMaximum, result: CPUIDResult(eax: CPUIDLeaf.addressSizes)),
      Leaf(
        number: CPUIDLeaf.extendedSignature,
        result: CPUIDResult(ecx: features.signatureECX.rawValue, edx: features.signatureEDX.rawValue)),
      Leaf(number: CPUIDLeaf.cacheSizes, result: CPUIDResult(ecx: Cache.secondLevelSummary)),
      Leaf(number: CPUIDLeaf.advancedPower, result: CPUIDResult(edx: timeStampCounterIsInvariant)),
      Leaf(
        number: CPUIDLeaf.addressSizes,
        result: CPUIDResult(eax: linearAddressBits << 8 | physicalAddressBits)),
    ]
    for part in 0..<3 {
      leaves.append(
        Leaf(
          number: CPUIDLeaf.brandString + UInt32(part),
          result: brand("Testudo software processor (\(model.title))", part: part)))
    }
    return leaves
  }

  // MARK: Words

  /// Leaf 2: one round; descriptor FFH, which sends the reader to leaf 4.
  private static let cachesAreInLeaf4: UInt32 = 0xFF << 8 | 1
  /// Leaf 6, EAX: ARAT.
  private static let timerAlwaysRuns: UInt32 = 1 << 2
  /// Leaf 80000007H, EDX.
  private static let timeStampCounterIsInvariant: UInt32 = 1 << 8

  /// Leaf 5: lines of 64 bytes; interrupts break MWAIT even if they are masked; the states C0 and C1.
  private static let monitor = CPUIDResult(eax: 64, ebx: 64, ecx: 0b11, edx: 0x20)

  static func vendor(highest: UInt32) -> CPUIDResult {
    CPUIDResult(eax: highest, ebx: word("Genu"), ecx: word("ntel"), edx: word("ineI"))
  }

  private static func identification(
    _ model: ProcessorModel, _ features: ProcessorFeatures, _ topology: ProcessorTopology
  ) -> CPUIDResult {
    let htt = topology.count > 1 ? CPUIDFeaturesEDX.htt.rawValue : 0
    return CPUIDResult(
      eax: model.signature, ebx: topology.leaf1EBX, ecx: features.featuresECX.rawValue,
      edx: features.featuresEDX.rawValue | htt)
  }

  /// Leaf 15H: the TSC's frequency is the crystal's times EBX ÷ EAX, exactly.
  private static func timeStampCounter(_ frequency: UInt64) -> CPUIDResult {
    let crystal = PlatformAddresses.crystalFrequency
    var (numerator, denominator) = (max(frequency, 1), crystal)
    while denominator != 0 { (numerator, denominator) = (denominator, numerator % denominator) }
    return CPUIDResult(
      eax: UInt32(truncatingIfNeeded: crystal / numerator),
      ebx: UInt32(truncatingIfNeeded: frequency / numerator),
      ecx: UInt32(truncatingIfNeeded: crystal))
  }

  /// Leaf 16H: base, maximum and bus frequency in MHz.
  private static func clocks(_ frequency: UInt64) -> CPUIDResult {
    let megahertz = UInt32(truncatingIfNeeded: frequency / 1_000_000)
    return CPUIDResult(eax: megahertz, ebx: megahertz, ecx: 100)
  }

  /// The processor brand string: 48 bytes with a zero at the end, 16 in each of three leaves.
  static func brand(_ text: String, part: Int) -> CPUIDResult {
    let characters = Array(text.utf8.prefix(47))
    let padded = characters + Array(repeating: 0, count: 48 - characters.count)
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

/// A cache, as leaf 4 describes it. Nothing is cached here: the figures are those of the models' counterparts.
private struct Cache {
  enum Kind: UInt32 {
    case data = 1
    case instruction = 2
    case unified = 3
  }

  var kind: Kind
  var level: UInt32
  var ways: UInt32
  var sets: UInt32
  var isShared = false

  private static let lineSize: UInt32 = 64

  static let all = [
    Cache(kind: .data, level: 1, ways: 8, sets: 64),
    Cache(kind: .instruction, level: 1, ways: 8, sets: 64),
    Cache(kind: .unified, level: 2, ways: 8, sets: 512),
    Cache(kind: .unified, level: 3, ways: 16, sets: 8192, isShared: true),
  ]

  /// Leaf 80000006H, ECX: 256 KByte, 8 ways, lines of 64 bytes.
  static let secondLevelSummary: UInt32 = 256 << 16 | 6 << 12 | lineSize

  func parameters(_ topology: ProcessorTopology) -> CPUIDResult {
    let selfInitializing: UInt32 = 1 << 8
    let inclusive: UInt32 = 1 << 1
    let sharing = isShared ? topology.leaf4Sharing : 0
    return CPUIDResult(
      eax: kind.rawValue | level << 5 | selfInitializing | sharing | topology.leaf4Cores,
      ebx: (Self.lineSize - 1) | (ways - 1) << 22, ecx: sets - 1, edx: isShared ? inclusive : 0)
  }
}
