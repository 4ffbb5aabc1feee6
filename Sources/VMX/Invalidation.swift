/// The type operand of INVEPT.
///
/// Source: SDM volume 3, "INVEPT—Invalidate Translations Derived from EPT".
public enum INVEPTType: UInt64, Sendable {
  case singleContext = 1
  case allContexts = 2

  /// The capability that allows the type.
  @inlinable
  public var capability: EPTAndVPIDCapability {
    switch self {
    case .singleContext: .inveptSingleContext
    case .allContexts: .inveptAllContexts
    }
  }
}

/// The type operand of INVVPID.
///
/// Source: SDM volume 3, "INVVPID—Invalidate Translations Based on VPID".
public enum INVVPIDType: UInt64, Sendable {
  case individualAddress = 0
  case singleContext = 1
  case allContexts = 2
  case singleContextRetainingGlobals = 3

  /// The capability that allows the type.
  @inlinable
  public var capability: EPTAndVPIDCapability {
    switch self {
    case .individualAddress: .invvpidIndividualAddress
    case .singleContext: .invvpidSingleContext
    case .allContexts: .invvpidAllContexts
    case .singleContextRetainingGlobals: .invvpidSingleContextRetainingGlobals
    }
  }
}

/// The 128-bit descriptor operand of INVEPT.
public struct INVEPTDescriptor: Hashable, Sendable {
  public var eptp: UInt64
  /// Bits 127:64, which must be 0.
  public var reserved: UInt64

  @inlinable
  public init(low: UInt64, high: UInt64) {
    eptp = low
    reserved = high
  }
}

/// The 128-bit descriptor operand of INVVPID.
public struct INVVPIDDescriptor: Hashable, Sendable {
  public var low: UInt64
  /// The linear address, of the type individual-address only.
  public var linearAddress: UInt64

  @inlinable
  public init(low: UInt64, high: UInt64) {
    self.low = low
    linearAddress = high
  }

  @inlinable
  public var vpid: UInt16 { UInt16(truncatingIfNeeded: low) }

  /// Whether bits 63:16, which must be 0, are not.
  @inlinable
  public var hasReservedBits: Bool { low >> 16 != 0 }
}
