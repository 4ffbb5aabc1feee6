/// IA32_VMX_BASIC.
///
/// Source: SDM volume 3, appendix "VMX Capability Reporting Facility", "Basic VMX Information".
public struct VMXBasicInformation: RawRepresentable, Equatable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The value of a processor with 4-KByte write-back VMCS regions, exit information for INS and OUTS, and TRUE MSRs.
  @inlinable
  public init(revision: UInt32, hasTrueControls: Bool = true) {
    self.rawValue =
      UInt64(revision & 0x7FFF_FFFF) | 4096 << 32 | 6 << 50 | 1 << 54 | (hasTrueControls ? 1 << 55 : 0)
  }

  /// The VMCS revision identifier: bits 30:0.
  @inlinable
  public var revision: UInt32 { UInt32(truncatingIfNeeded: rawValue) & 0x7FFF_FFFF }

  /// The number of bytes of a VMXON region and a VMCS region.
  @inlinable
  public var regionSize: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) & 0x1FFF }

  /// Whether the addresses of VMX structures are limited to 32 bits.
  @inlinable
  public var limitsAddressesTo32Bits: Bool { rawValue & 1 << 48 != 0 }

  /// Whether the dual-monitor treatment of SMIs and SMM is supported.
  @inlinable
  public var hasDualMonitorTreatment: Bool { rawValue & 1 << 49 != 0 }

  /// The memory type of VMX structures: 0 uncacheable, 6 write-back.
  @inlinable
  public var memoryType: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 50) & 0xF }

  /// Whether VM exits due to INS and OUTS report the VM-exit instruction information.
  @inlinable
  public var reportsINSAndOUTSInformation: Bool { rawValue & 1 << 54 != 0 }

  /// Whether some default1 controls may be 0, and the TRUE capability MSRs exist.
  @inlinable
  public var hasTrueControls: Bool { rawValue & 1 << 55 != 0 }

  /// Whether VM entry may deliver a hardware exception with or without an error code whatever its vector.
  @inlinable
  public var deliversErrorCodeForAnyException: Bool { rawValue & 1 << 56 != 0 }

  /// Whether VM exits and VM entries report nested exceptions.
  @inlinable
  public var hasNestedExceptions: Bool { rawValue & 1 << 58 != 0 }
}

/// IA32_VMX_MISC.
///
/// Source: SDM volume 3, appendix "VMX Capability Reporting Facility", "Miscellaneous Data".
public struct VMXMiscellaneousData: RawRepresentable, Equatable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The VMX-preemption timer counts down by 1 each time this bit of the TSC changes.
  @inlinable
  public var preemptionTimerShift: UInt64 { rawValue & 0x1F }

  /// Whether VM exits store EFER.LMA into "IA-32e mode guest".
  @inlinable
  public var storesLMA: Bool { rawValue & 1 << 5 != 0 }

  /// Whether the activity state HLT is supported.
  @inlinable
  public var supportsHLTState: Bool { rawValue & 1 << 6 != 0 }

  /// Whether the activity state shutdown is supported.
  @inlinable
  public var supportsShutdownState: Bool { rawValue & 1 << 7 != 0 }

  /// Whether the activity state wait-for-SIPI is supported.
  @inlinable
  public var supportsWaitForSIPIState: Bool { rawValue & 1 << 8 != 0 }

  /// Whether Intel PT can be used in VMX operation.
  @inlinable
  public var supportsPT: Bool { rawValue & 1 << 14 != 0 }

  /// The number of CR3-target values.
  @inlinable
  public var cr3TargetCount: UInt64 { rawValue >> 16 & 0x1FF }

  /// The recommended greatest number of MSRs in an MSR list.
  @inlinable
  public var greatestMSRListCount: UInt64 { 512 &* ((rawValue >> 25 & 7) &+ 1) }

  /// Whether VMWRITE can write the VM-exit information fields.
  @inlinable
  public var allowsWritingReadOnlyFields: Bool { rawValue & 1 << 29 != 0 }

  /// Whether a software interrupt, software exception or privileged one can be injected with length 0.
  @inlinable
  public var allowsInstructionLengthZero: Bool { rawValue & 1 << 30 != 0 }

  /// The MSEG revision identifier.
  @inlinable
  public var msegRevision: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// IA32_VMX_EPT_VPID_CAP.
///
/// Source: SDM volume 3, appendix "VMX Capability Reporting Facility", "VPID and EPT Capabilities".
public struct EPTAndVPIDCapability: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Execute-only translations.
  @inlinable public static var executeOnly: Self { Self(rawValue: 1 << 0) }
  @inlinable public static var pageWalkLength4: Self { Self(rawValue: 1 << 6) }
  @inlinable public static var pageWalkLength5: Self { Self(rawValue: 1 << 7) }
  @inlinable public static var uncacheablePagingStructures: Self { Self(rawValue: 1 << 8) }
  @inlinable public static var writeBackPagingStructures: Self { Self(rawValue: 1 << 14) }
  @inlinable public static var pages2MByte: Self { Self(rawValue: 1 << 16) }
  @inlinable public static var pages1GByte: Self { Self(rawValue: 1 << 17) }
  @inlinable public static var invept: Self { Self(rawValue: 1 << 20) }
  @inlinable public static var accessedAndDirtyFlags: Self { Self(rawValue: 1 << 21) }
  /// Advanced VM-exit information for EPT violations.
  @inlinable public static var advancedExitInformation: Self { Self(rawValue: 1 << 22) }
  @inlinable public static var supervisorShadowStack: Self { Self(rawValue: 1 << 23) }
  @inlinable public static var inveptSingleContext: Self { Self(rawValue: 1 << 25) }
  @inlinable public static var inveptAllContexts: Self { Self(rawValue: 1 << 26) }
  @inlinable public static var invvpid: Self { Self(rawValue: 1 << 32) }
  @inlinable public static var invvpidIndividualAddress: Self { Self(rawValue: 1 << 40) }
  @inlinable public static var invvpidSingleContext: Self { Self(rawValue: 1 << 41) }
  @inlinable public static var invvpidAllContexts: Self { Self(rawValue: 1 << 42) }
  @inlinable public static var invvpidSingleContextRetainingGlobals: Self { Self(rawValue: 1 << 43) }

  /// The greatest HLAT prefix size.
  @inlinable
  public var greatestHLATPrefixSize: UInt64 { rawValue >> 48 & 0x3F }
}
