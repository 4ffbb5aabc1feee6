/// The exit qualification of an EPT violation.
///
/// Source: SDM volume 3, "Exit Qualification for EPT Violations".
public struct EPTViolationQualification: OptionSet, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The access was a data read.
  @inlinable public static var read: Self { Self(rawValue: 1 << 0) }
  /// The access was a data write.
  @inlinable public static var write: Self { Self(rawValue: 1 << 1) }
  /// The access was an instruction fetch.
  @inlinable public static var fetch: Self { Self(rawValue: 1 << 2) }
  /// The guest-physical address was readable.
  @inlinable public static var readable: Self { Self(rawValue: 1 << 3) }
  /// The guest-physical address was writable.
  @inlinable public static var writable: Self { Self(rawValue: 1 << 4) }
  /// The guest-physical address was executable, with mode-based execute control for supervisor-mode addresses.
  @inlinable public static var executable: Self { Self(rawValue: 1 << 5) }
  /// With mode-based execute control: it was executable for user-mode linear addresses.
  @inlinable public static var userExecutable: Self { Self(rawValue: 1 << 6) }
  /// The guest linear-address field is valid.
  @inlinable public static var linearAddressValid: Self { Self(rawValue: 1 << 7) }
  /// The access was to the translation of a linear address, and not to a guest paging-structure entry.
  @inlinable public static var finalTranslation: Self { Self(rawValue: 1 << 8) }
  /// Advanced information: the linear address is a user-mode one.
  @inlinable public static var userLinearAddress: Self { Self(rawValue: 1 << 9) }
  /// Advanced information: the linear address is writable by the guest's paging.
  @inlinable public static var writableLinearAddress: Self { Self(rawValue: 1 << 10) }
  /// Advanced information: the linear address is execute-disabled by the guest's paging.
  @inlinable public static var executeDisabledLinearAddress: Self { Self(rawValue: 1 << 11) }
  /// NMI unblocking due to IRET.
  @inlinable public static var nmiUnblocking: Self { Self(rawValue: 1 << 12) }
  /// The access was a shadow-stack access.
  @inlinable public static var shadowStackAccess: Self { Self(rawValue: 1 << 13) }
  /// The page was a supervisor shadow-stack page by EPT.
  @inlinable public static var supervisorShadowStackPage: Self { Self(rawValue: 1 << 14) }
  /// Guest-paging verification caused the violation.
  @inlinable public static var guestPagingVerification: Self { Self(rawValue: 1 << 15) }
  /// The access was asynchronous to instruction execution.
  @inlinable public static var asynchronous: Self { Self(rawValue: 1 << 16) }

  /// What an access to the translation of a linear address adds, by the permissions that paging gives the address.
  @inlinable
  public static func translation(isUser: Bool, isWritable: Bool, isExecutable: Bool) -> Self {
    var bits: Self = [.linearAddressValid, .finalTranslation]
    if isUser { bits.insert(.userLinearAddress) }
    if isWritable { bits.insert(.writableLinearAddress) }
    if !isExecutable { bits.insert(.executeDisabledLinearAddress) }
    return bits
  }

  /// The advanced VM-exit information.
  @inlinable public static var advanced: Self {
    [.userLinearAddress, .writableLinearAddress, .executeDisabledLinearAddress]
  }

  /// The three access bits.
  @inlinable public static var accesses: Self { [.read, .write, .fetch] }

  /// The permissions of the guest-physical address: the AND of bits 2:0 of the EPT entries used.
  @inlinable
  public var permissions: EPTPermissions {
    EPTPermissions(rawValue: rawValue >> 3 & 7 | (rawValue >> 6 & 1) << 10)
  }

  /// The bits 6:3 that report `permissions`.
  @inlinable
  public static func reporting(_ permissions: EPTPermissions) -> Self {
    Self(rawValue: (permissions.rawValue & 7) << 3 | (permissions.rawValue >> 10 & 1) << 6)
  }
}

/// The exit qualification of an access to the APIC-access page.
///
/// Source: SDM volume 3, "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses".
public struct APICAccessQualification: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// How the page was accessed.
  public enum Access: UInt8, Sendable {
    case linearRead = 0
    case linearWrite = 1
    case linearFetch = 2
    case linearDuringEventDelivery = 3
    case linearForMonitoring = 4
    case guestPhysicalDuringEventDelivery = 10
    case guestPhysicalForMonitoring = 11
    case guestPhysicalDuringInstruction = 15
  }

  @inlinable
  public init(_ access: Access, offset: UInt16) {
    rawValue = UInt64(offset & 0xFFF) | UInt64(access.rawValue) << 12
  }

  /// The offset in the page of a linear access.
  @inlinable
  public var offset: UInt16 { UInt16(truncatingIfNeeded: rawValue) & 0xFFF }

  /// The access, or nil if its number is reserved.
  @inlinable
  public var access: Access? { Access(rawValue: UInt8(truncatingIfNeeded: rawValue >> 12) & 0xF) }

  /// Whether the access was asynchronous to instruction execution.
  @inlinable
  public var isAsynchronous: Bool { rawValue & 1 << 16 != 0 }
}
