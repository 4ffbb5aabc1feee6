/// A component of the state that the XSAVE feature set manages, beyond the legacy region: one row of the table from which
/// both CPUID leaf 0DH and the processor's XSAVE take their figures.
///
/// Source: SDM volume 1, "XSAVE-Supported Features and XSAVE-State Components"; volume 2, "CPUID—CPU Identification".
public struct ExtendedStateComponent: Sendable {
  /// The component's bit in XCR0, IA32_XSS and XSTATE_BV.
  public let number: UInt32
  /// Its size in bytes.
  public let size: UInt32
  /// Where the standard format has it, in bytes from the start of the XSAVE area; 0 for a supervisor component, which
  /// only the compacted format has.
  public let standardOffset: UInt32
  /// Whether the compacted format has it on a boundary of 64 bytes.
  public let isAligned: Bool

  init(number: UInt32, size: UInt32, standardOffset: UInt32, isAligned: Bool = false) {
    self.number = number
    self.size = size
    self.standardOffset = standardOffset
    self.isAligned = isAligned
  }

  public var mask: UInt64 { 1 &<< UInt64(number) }

  /// The components behind the legacy region and the header, in the order of their numbers.
  public static let rows: InlineArray<1, ExtendedStateComponent> = [
    // The upper halves of YMM0 to YMM15.
    ExtendedStateComponent(number: 2, size: 256, standardOffset: 576)
  ]

  /// x87, SSE and AVX as bits of XCR0.
  public static var x87: UInt64 { 1 << 0 }
  public static var sse: UInt64 { 1 << 1 }
  public static var avx: UInt64 { 1 << 2 }
  /// What XCR0 can have: the user components.
  public static var user: UInt64 { x87 | sse | avx }
  /// What IA32_XSS can have: no supervisor component.
  public static var supervisor: UInt64 { 0 }

  /// The legacy region and the header.
  public static var legacySize: UInt32 { 512 }
  public static var headerSize: UInt32 { 64 }
  public static var firstOffset: UInt32 { legacySize &+ headerSize }

  /// Whether XCR0 can have `value`, where the processor's model has the user components `supported`.
  ///
  /// Source: SDM volume 2, "XSETBV—Set Extended Control Register".
  public static func isValidXCR0(_ value: UInt64, supported: UInt64 = user) -> Bool {
    guard value & ~supported == 0, value & x87 != 0 else { return false }
    return value & avx == 0 || value & sse != 0
  }

  /// The size of an XSAVE area in the standard format that has the components `components`, in bytes.
  public static func standardSize(of components: UInt64) -> UInt32 {
    var size = firstOffset
    for position in 0..<rows.count where components & rows[position].mask != 0 {
      size = max(size, rows[position].standardOffset &+ rows[position].size)
    }
    return size
  }

  /// Where the compacted format has component `number`, if the area has the components `components`; and the size of the
  /// area if no component has that number.
  ///
  /// Source: SDM volume 1, "Extended Region of an XSAVE Area".
  public static func compactedOffset(of number: UInt32, in components: UInt64) -> UInt32 {
    var offset = firstOffset
    for position in 0..<rows.count where components & rows[position].mask != 0 {
      if rows[position].isAligned { offset = (offset &+ 63) & ~63 }
      if rows[position].number == number { return offset }
      offset = offset &+ rows[position].size
    }
    return offset
  }

  /// The size of an XSAVE area in the compacted format that has the components `components`, in bytes.
  public static func compactedSize(of components: UInt64) -> UInt32 {
    compactedOffset(of: .max, in: components)
  }
}

// MARK: - CPUID leaf 0DH

/// The instructions beside XSAVE and XRSTOR: CPUID leaf 0DH, subleaf 1, EAX.
public struct ExtendedStateFeatures: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static var xsaveopt: Self { Self(rawValue: 1 << 0) }
  public static var xsavec: Self { Self(rawValue: 1 << 1) }
  /// XGETBV with ECX = 1.
  public static var xgetbv1: Self { Self(rawValue: 1 << 2) }
  /// XSAVES, XRSTORS and IA32_XSS.
  public static var xsaves: Self { Self(rawValue: 1 << 3) }

  /// What the software processor has.
  public static var all: Self { [.xsaveopt, .xsavec, .xgetbv1, .xsaves] }
}

extension ExtendedStateComponent {
  /// What CPUID returns for leaf 0DH and `subleaf`, of a model that has the user components `supported` and the
  /// instructions `features`, while XCR0 and IA32_XSS are `xcr0` and `xss`.
  public static func cpuid(
    subleaf: UInt32, xcr0: UInt64, xss: UInt64 = 0, supported: UInt64 = user,
    features: ExtendedStateFeatures = .all
  ) -> CPUIDResult {
    switch subleaf {
    case 0:
      return CPUIDResult(
        eax: UInt32(truncatingIfNeeded: supported), ebx: standardSize(of: xcr0),
        ecx: standardSize(of: supported), edx: UInt32(truncatingIfNeeded: supported >> 32))
    case 1:
      let hasCompaction = !features.isDisjoint(with: [.xsavec, .xsaves])
      return CPUIDResult(
        eax: features.rawValue, ebx: hasCompaction ? compactedSize(of: xcr0 | xss) : 0,
        ecx: features.contains(.xsaves) ? UInt32(truncatingIfNeeded: supervisor) : 0)
    default:
      for position in 0..<rows.count where rows[position].number == subleaf {
        let row = rows[position]
        guard supported & row.mask != 0 else { break }
        return CPUIDResult(eax: row.size, ebx: row.standardOffset, ecx: row.isAligned ? 2 : 0)
      }
      return CPUIDResult()
    }
  }
}
