/// The features of a processor, in the words by which CPUID reports them.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct ProcessorFeatures: Equatable, Sendable {
  /// Leaf 1.
  public var featuresECX: CPUIDFeaturesECX
  public var featuresEDX: CPUIDFeaturesEDX
  /// Leaf 7, subleaf 0.
  public var extendedEBX: CPUIDExtendedFeaturesEBX
  public var extendedECX: CPUIDExtendedFeaturesECX
  public var extendedEDX: CPUIDExtendedFeaturesEDX
  /// Leaf 8000_0001H.
  public var signatureECX: CPUIDExtendedSignatureECX
  public var signatureEDX: CPUIDExtendedSignatureEDX
  /// Leaf 0DH, subleaf 1.
  public var extendedState: ExtendedStateFeatures

  public init(
    featuresECX: CPUIDFeaturesECX = [], featuresEDX: CPUIDFeaturesEDX = [],
    extendedEBX: CPUIDExtendedFeaturesEBX = [], extendedECX: CPUIDExtendedFeaturesECX = [],
    extendedEDX: CPUIDExtendedFeaturesEDX = [], signatureECX: CPUIDExtendedSignatureECX = [],
    signatureEDX: CPUIDExtendedSignatureEDX = [], extendedState: ExtendedStateFeatures = []
  ) {
    self.featuresECX = featuresECX
    self.featuresEDX = featuresEDX
    self.extendedEBX = extendedEBX
    self.extendedECX = extendedECX
    self.extendedEDX = extendedEDX
    self.signatureECX = signatureECX
    self.signatureEDX = signatureEDX
    self.extendedState = extendedState
  }

  public func intersection(_ other: Self) -> Self { combined(other) { $0 & $1 } }
  public func union(_ other: Self) -> Self { combined(other) { $0 | $1 } }
  public func subtracting(_ other: Self) -> Self { combined(other) { $0 & ~$1 } }
  public func isSubset(of other: Self) -> Bool { subtracting(other) == Self() }

  private func combined(_ other: Self, _ combine: (UInt32, UInt32) -> UInt32) -> Self {
    func word<Word: RawRepresentable & OptionSet>(_ path: (Self) -> Word) -> Word
    where Word.RawValue == UInt32 {
      Word(rawValue: combine(path(self).rawValue, path(other).rawValue))
    }
    return Self(
      featuresECX: word { $0.featuresECX }, featuresEDX: word { $0.featuresEDX },
      extendedEBX: word { $0.extendedEBX }, extendedECX: word { $0.extendedECX },
      extendedEDX: word { $0.extendedEDX }, signatureECX: word { $0.signatureECX },
      signatureEDX: word { $0.signatureEDX }, extendedState: word { $0.extendedState })
  }
}

extension ProcessorFeatures {
  /// The user components of the extended state, as bits of XCR0; 0 without XSAVE.
  public var components: UInt64 {
    guard featuresECX.contains(.xsave) else { return 0 }
    let legacy = ExtendedStateComponent.x87 | ExtendedStateComponent.sse
    return featuresECX.contains(.avx) ? legacy | ExtendedStateComponent.avx : legacy
  }

  /// The bits of CR4 that a feature brings: those of other features are reserved.
  ///
  /// Source: SDM volume 3, "Control Registers".
  public var controlRegister4: CR4 {
    var bits: CR4 = [.tsd, .pce, .osxmmexcpt]
    func add(_ bit: CR4, if condition: Bool) { if condition { bits.formUnion(bit) } }
    add([.vme, .pvi], if: featuresEDX.contains(.vme))
    add(.de, if: featuresEDX.contains(.de))
    add(.pse, if: featuresEDX.contains(.pse))
    add(.pae, if: featuresEDX.contains(.pae))
    add(.mce, if: featuresEDX.contains(.mce))
    add(.pge, if: featuresEDX.contains(.pge))
    add(.osfxsr, if: featuresEDX.contains(.fxsr))
    add(.vmxe, if: featuresECX.contains(.vmx))
    add(.pcide, if: featuresECX.contains(.pcid))
    add(.osxsave, if: featuresECX.contains(.xsave))
    add(.fsgsbase, if: extendedEBX.contains(.fsgsbase))
    add(.smep, if: extendedEBX.contains(.smep))
    add(.smap, if: extendedEBX.contains(.smap))
    add(.umip, if: extendedECX.contains(.umip))
    add(.pke, if: extendedECX.contains(.pku))
    add(.la57, if: extendedECX.contains(.la57))
    return bits
  }
}
