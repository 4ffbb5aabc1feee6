/// Control register CR0.
///
/// Source: SDM volume 3, "Control Registers".
public struct CR0: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Protection enable.
  @inlinable public static var pe: Self { Self(rawValue: 1 << 0) }
  /// Monitor coprocessor.
  @inlinable public static var mp: Self { Self(rawValue: 1 << 1) }
  /// Emulation.
  @inlinable public static var em: Self { Self(rawValue: 1 << 2) }
  /// Task switched.
  @inlinable public static var ts: Self { Self(rawValue: 1 << 3) }
  /// Extension type, always 1.
  @inlinable public static var et: Self { Self(rawValue: 1 << 4) }
  /// Numeric error.
  @inlinable public static var ne: Self { Self(rawValue: 1 << 5) }
  /// Write protect.
  @inlinable public static var wp: Self { Self(rawValue: 1 << 16) }
  /// Alignment mask.
  @inlinable public static var am: Self { Self(rawValue: 1 << 18) }
  /// Not write-through.
  @inlinable public static var nw: Self { Self(rawValue: 1 << 29) }
  /// Cache disable.
  @inlinable public static var cd: Self { Self(rawValue: 1 << 30) }
  /// Paging.
  @inlinable public static var pg: Self { Self(rawValue: 1 << 31) }
}

/// Control register CR4.
///
/// Source: SDM volume 3, "Control Registers".
public struct CR4: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Virtual-8086 mode extensions.
  @inlinable public static var vme: Self { Self(rawValue: 1 << 0) }
  /// Protected-mode virtual interrupts.
  @inlinable public static var pvi: Self { Self(rawValue: 1 << 1) }
  /// Time stamp disable.
  @inlinable public static var tsd: Self { Self(rawValue: 1 << 2) }
  /// Debugging extensions.
  @inlinable public static var de: Self { Self(rawValue: 1 << 3) }
  /// Page size extensions.
  @inlinable public static var pse: Self { Self(rawValue: 1 << 4) }
  /// Physical address extension.
  @inlinable public static var pae: Self { Self(rawValue: 1 << 5) }
  /// Machine-check enable.
  @inlinable public static var mce: Self { Self(rawValue: 1 << 6) }
  /// Page global enable.
  @inlinable public static var pge: Self { Self(rawValue: 1 << 7) }
  /// Performance-monitoring counter enable.
  @inlinable public static var pce: Self { Self(rawValue: 1 << 8) }
  /// Operating system support for FXSAVE and FXRSTOR.
  @inlinable public static var osfxsr: Self { Self(rawValue: 1 << 9) }
  /// Operating system support for unmasked SIMD floating-point exceptions.
  @inlinable public static var osxmmexcpt: Self { Self(rawValue: 1 << 10) }
  /// User-mode instruction prevention.
  @inlinable public static var umip: Self { Self(rawValue: 1 << 11) }
  /// 57-bit linear addresses.
  @inlinable public static var la57: Self { Self(rawValue: 1 << 12) }
  /// VMX enable.
  @inlinable public static var vmxe: Self { Self(rawValue: 1 << 13) }
  /// SMX enable.
  @inlinable public static var smxe: Self { Self(rawValue: 1 << 14) }
  /// RDFSBASE, RDGSBASE, WRFSBASE, and WRGSBASE enable.
  @inlinable public static var fsgsbase: Self { Self(rawValue: 1 << 16) }
  /// PCID enable.
  @inlinable public static var pcide: Self { Self(rawValue: 1 << 17) }
  /// XSAVE and processor extended states enable.
  @inlinable public static var osxsave: Self { Self(rawValue: 1 << 18) }
  /// Key locker enable.
  @inlinable public static var kl: Self { Self(rawValue: 1 << 19) }
  /// Supervisor-mode execution prevention.
  @inlinable public static var smep: Self { Self(rawValue: 1 << 20) }
  /// Supervisor-mode access prevention.
  @inlinable public static var smap: Self { Self(rawValue: 1 << 21) }
  /// Protection keys for user-mode pages.
  @inlinable public static var pke: Self { Self(rawValue: 1 << 22) }
  /// Control-flow enforcement technology.
  @inlinable public static var cet: Self { Self(rawValue: 1 << 23) }
  /// Protection keys for supervisor-mode pages.
  @inlinable public static var pks: Self { Self(rawValue: 1 << 24) }
  /// User interrupts enable.
  @inlinable public static var uintr: Self { Self(rawValue: 1 << 25) }
  /// Linear-address-space separation.
  @inlinable public static var lass: Self { Self(rawValue: 1 << 27) }
  /// Supervisor linear-address masking.
  @inlinable public static var lamSup: Self { Self(rawValue: 1 << 28) }
  /// Flexible return and event delivery.
  @inlinable public static var fred: Self { Self(rawValue: 1 << 32) }
}
