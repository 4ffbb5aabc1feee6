import X86

/// The exit qualification of a control-register access.
///
/// Source: SDM volume 3, "Exit Qualification for Control-Register Accesses".
public struct ControlRegisterQualification: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// How a control register was accessed.
  public enum Access: UInt8, Sendable {
    case movToCR
    case movFromCR
    case clts
    case lmsw
  }

  /// A MOV between control register `number`, 0 to 15, and `register`.
  @inlinable
  public init(_ access: Access, number: UInt8, register: GeneralRegister) {
    rawValue = UInt64(number & 0xF) | UInt64(access.rawValue) << 4 | UInt64(register.rawValue) << 8
  }

  /// CLTS.
  @inlinable
  public static var clts: Self { Self(rawValue: UInt64(Access.clts.rawValue) << 4) }

  /// LMSW of `source`, from memory or a register.
  @inlinable
  public static func lmsw(source: UInt16, fromMemory: Bool) -> Self {
    Self(rawValue: UInt64(Access.lmsw.rawValue) << 4 | (fromMemory ? 1 << 6 : 0) | UInt64(source) << 16)
  }

  /// The number of the control register; 0 for CLTS and LMSW.
  @inlinable
  public var number: UInt8 { UInt8(truncatingIfNeeded: rawValue) & 0xF }

  @inlinable
  public var access: Access {
    switch rawValue >> 4 & 3 {
    case 0: .movToCR
    case 1: .movFromCR
    case 2: .clts
    default: .lmsw
    }
  }

  /// The general-purpose register of a MOV.
  @inlinable
  public var register: GeneralRegister { GeneralRegister(number: rawValue >> 8) }

  /// Whether the operand of LMSW was in memory.
  @inlinable
  public var lmswFromMemory: Bool { rawValue & 1 << 6 != 0 }

  /// The source data of LMSW.
  @inlinable
  public var lmswSource: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 16) }
}

/// The exit qualification of a MOV to or from a debug register.
///
/// Source: SDM volume 3, "Exit Qualification for MOV DR".
public struct DebugRegisterQualification: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// A MOV between debug register `number`, 0 to 7, and `register`.
  @inlinable
  public init(number: UInt8, isRead: Bool, register: GeneralRegister) {
    rawValue = UInt64(number & 7) | (isRead ? 1 << 4 : 0) | UInt64(register.rawValue) << 8
  }

  /// The number of the debug register.
  @inlinable
  public var number: UInt8 { UInt8(truncatingIfNeeded: rawValue) & 7 }

  /// Whether the MOV was from the debug register.
  @inlinable
  public var isRead: Bool { rawValue & 1 << 4 != 0 }

  /// The general-purpose register.
  @inlinable
  public var register: GeneralRegister { GeneralRegister(number: rawValue >> 8) }
}

/// The exit qualification of an I/O instruction.
///
/// Source: SDM volume 3, "Exit Qualification for I/O Instructions".
public struct IOQualification: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// An access of `size` bytes, 1, 2 or 4, to `port`.
  @inlinable
  public init(
    port: UInt16, size: UInt8, isIn: Bool, isString: Bool = false, isREP: Bool = false,
    isImmediate: Bool = false
  ) {
    rawValue =
      UInt64((size &- 1) & 7) | (isIn ? 1 << 3 : 0) | (isString ? 1 << 4 : 0) | (isREP ? 1 << 5 : 0)
      | (isImmediate ? 1 << 6 : 0) | UInt64(port) << 16
  }

  /// The size of the access in bytes: 1, 2 or 4 from a processor.
  @inlinable
  public var size: UInt8 { (UInt8(truncatingIfNeeded: rawValue) & 7) &+ 1 }

  /// Whether the instruction reads the port.
  @inlinable
  public var isIn: Bool { rawValue & 1 << 3 != 0 }

  /// Whether the instruction is INS or OUTS.
  @inlinable
  public var isString: Bool { rawValue & 1 << 4 != 0 }

  /// Whether the instruction has a REP prefix.
  @inlinable
  public var isREP: Bool { rawValue & 1 << 5 != 0 }

  /// Whether the port was an immediate operand, and not in DX.
  @inlinable
  public var isImmediate: Bool { rawValue & 1 << 6 != 0 }

  /// The port.
  @inlinable
  public var port: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 16) }
}
