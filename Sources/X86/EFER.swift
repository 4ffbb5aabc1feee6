/// IA32_EFER, the extended feature enable register.
///
/// Source: SDM volume 3, "Extended Feature Enable Register".
public struct EFER: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// SYSCALL enable.
  @inlinable public static var sce: Self { Self(rawValue: 1 << 0) }
  /// IA-32e mode enable.
  @inlinable public static var lme: Self { Self(rawValue: 1 << 8) }
  /// IA-32e mode active.
  @inlinable public static var lma: Self { Self(rawValue: 1 << 10) }
  /// Execute-disable bit enable.
  @inlinable public static var nxe: Self { Self(rawValue: 1 << 11) }

  /// The bits that are not reserved.
  @inlinable public static var defined: Self { [.sce, .lme, .lma, .nxe] }
}
