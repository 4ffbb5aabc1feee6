/// A CPUID leaf: the value of EAX before CPUID.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public enum CPUIDLeaf {
  @inlinable public static var vendor: UInt32 { 0 }
  @inlinable public static var features: UInt32 { 1 }
  @inlinable public static var caches: UInt32 { 2 }
  @inlinable public static var cacheParameters: UInt32 { 4 }
  @inlinable public static var monitor: UInt32 { 5 }
  @inlinable public static var thermalAndPower: UInt32 { 6 }
  @inlinable public static var extendedFeatures: UInt32 { 7 }
  @inlinable public static var performanceMonitoring: UInt32 { 0xA }
  @inlinable public static var extendedTopology: UInt32 { 0xB }
  @inlinable public static var extendedState: UInt32 { 0xD }
  @inlinable public static var timeStampCounter: UInt32 { 0x15 }
  @inlinable public static var processorFrequency: UInt32 { 0x16 }
  @inlinable public static var hypervisorVendor: UInt32 { 0x4000_0000 }
  @inlinable public static var extendedMaximum: UInt32 { 0x8000_0000 }
  @inlinable public static var extendedSignature: UInt32 { 0x8000_0001 }
  @inlinable public static var brandString: UInt32 { 0x8000_0002 }
  @inlinable public static var cacheSizes: UInt32 { 0x8000_0006 }
  @inlinable public static var advancedPower: UInt32 { 0x8000_0007 }
  @inlinable public static var addressSizes: UInt32 { 0x8000_0008 }
}

/// What CPUID returns.
public struct CPUIDResult: Equatable, Sendable {
  public var eax: UInt32
  public var ebx: UInt32
  public var ecx: UInt32
  public var edx: UInt32

  @inlinable
  public init(eax: UInt32 = 0, ebx: UInt32 = 0, ecx: UInt32 = 0, edx: UInt32 = 0) {
    self.eax = eax
    self.ebx = ebx
    self.ecx = ecx
    self.edx = edx
  }
}

/// Leaf 1, ECX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDFeaturesECX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var sse3: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var pclmulqdq: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var dtes64: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var monitor: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var dsCPL: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var vmx: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var smx: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var eist: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var tm2: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var ssse3: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var sdbg: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var fma: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var cmpxchg16b: Self { Self(rawValue: 1 << 13) }
  @inlinable public static var pdcm: Self { Self(rawValue: 1 << 15) }
  @inlinable public static var pcid: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var dca: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var sse41: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var sse42: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var x2apic: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var movbe: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var popcnt: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var tscDeadline: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var aes: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var xsave: Self { Self(rawValue: 1 << 26) }
  @inlinable public static var osxsave: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var avx: Self { Self(rawValue: 1 << 28) }
  @inlinable public static var f16c: Self { Self(rawValue: 1 << 29) }
  @inlinable public static var rdrand: Self { Self(rawValue: 1 << 30) }
  @inlinable public static var hypervisor: Self { Self(rawValue: 1 << 31) }
}

/// Leaf 1, EDX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDFeaturesEDX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var fpu: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var vme: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var de: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var pse: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var tsc: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var msr: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var pae: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var mce: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var cx8: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var apic: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var sep: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var mtrr: Self { Self(rawValue: 1 << 12) }
  @inlinable public static var pge: Self { Self(rawValue: 1 << 13) }
  @inlinable public static var mca: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var cmov: Self { Self(rawValue: 1 << 15) }
  @inlinable public static var pat: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var pse36: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var psn: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var clfsh: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var ds: Self { Self(rawValue: 1 << 21) }
  @inlinable public static var acpi: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var mmx: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var fxsr: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var sse: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var sse2: Self { Self(rawValue: 1 << 26) }
  @inlinable public static var ss: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var htt: Self { Self(rawValue: 1 << 28) }
  @inlinable public static var tm: Self { Self(rawValue: 1 << 29) }
  @inlinable public static var pbe: Self { Self(rawValue: 1 << 31) }
}

/// Leaf 7, subleaf 0, EBX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDExtendedFeaturesEBX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var fsgsbase: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var tscAdjust: Self { Self(rawValue: 1 << 1) }
  @inlinable public static var sgx: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var bmi1: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var hle: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var avx2: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var smep: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var bmi2: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var erms: Self { Self(rawValue: 1 << 9) }
  @inlinable public static var invpcid: Self { Self(rawValue: 1 << 10) }
  @inlinable public static var rtm: Self { Self(rawValue: 1 << 11) }
  /// FXSAVE and its like store 0 for the selectors of the x87 instruction and data pointers.
  @inlinable public static var deprecatesFPUSelectors: Self { Self(rawValue: 1 << 13) }
  @inlinable public static var mpx: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var avx512f: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var rdseed: Self { Self(rawValue: 1 << 18) }
  @inlinable public static var adx: Self { Self(rawValue: 1 << 19) }
  @inlinable public static var smap: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var clflushopt: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var clwb: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var intelPT: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var sha: Self { Self(rawValue: 1 << 29) }
}

/// Leaf 7, subleaf 0, ECX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDExtendedFeaturesECX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var prefetchwt1: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var umip: Self { Self(rawValue: 1 << 2) }
  @inlinable public static var pku: Self { Self(rawValue: 1 << 3) }
  @inlinable public static var ospke: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var waitpkg: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var cetSS: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var la57: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var rdpid: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var keyLocker: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var busLockDetect: Self { Self(rawValue: 1 << 24) }
  @inlinable public static var movdiri: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var movdir64b: Self { Self(rawValue: 1 << 28) }
  @inlinable public static var enqcmd: Self { Self(rawValue: 1 << 29) }
  @inlinable public static var pks: Self { Self(rawValue: 1 << 31) }
}

/// Leaf 7, subleaf 0, EDX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDExtendedFeaturesEDX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var fastShortREPMOV: Self { Self(rawValue: 1 << 4) }
  @inlinable public static var serialize: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var archCapabilities: Self { Self(rawValue: 1 << 29) }
}

/// Leaf 0x8000_0001, EDX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDExtendedSignatureEDX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var syscall: Self { Self(rawValue: 1 << 11) }
  @inlinable public static var executeDisable: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var pages1GByte: Self { Self(rawValue: 1 << 26) }
  @inlinable public static var rdtscp: Self { Self(rawValue: 1 << 27) }
  @inlinable public static var intel64: Self { Self(rawValue: 1 << 29) }
}

/// Leaf 0x8000_0001, ECX.
///
/// Source: SDM volume 2, "CPUID—CPU Identification".
public struct CPUIDExtendedSignatureECX: OptionSet, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var lahf: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var lzcnt: Self { Self(rawValue: 1 << 5) }
  @inlinable public static var prefetchw: Self { Self(rawValue: 1 << 8) }
}
