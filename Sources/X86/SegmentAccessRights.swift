/// The access rights of a segment register, in the format of the VMCS: bits 15:8 are reserved but for 15:12.
///
/// Source: SDM volume 3, "Guest Register State", table "Format of Access Rights".
public struct SegmentAccessRights: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Access rights of `type` and the given bits.
  @inlinable
  public init(
    type: UInt8, isCodeOrData: Bool, dpl: UInt8 = 0, isPresent: Bool = true, isLong: Bool = false,
    isBig: Bool = false, isGranular: Bool = false
  ) {
    rawValue =
      UInt32(type & 0xF) | (isCodeOrData ? 1 << 4 : 0) | UInt32(dpl & 3) << 5 | (isPresent ? 1 << 7 : 0)
      | (isLong ? 1 << 13 : 0) | (isBig ? 1 << 14 : 0) | (isGranular ? 1 << 15 : 0)
  }

  /// A register that is unusable.
  @inlinable public static var unusable: Self { Self(rawValue: 1 << 16) }

  /// The segment type, bits 3:0.
  @inlinable
  public var type: UInt8 {
    get { UInt8(truncatingIfNeeded: rawValue) & 0xF }
    set { rawValue = rawValue & ~0xF | UInt32(newValue & 0xF) }
  }

  /// S: whether this is a code or data segment, and no system segment.
  @inlinable
  public var isCodeOrData: Bool { rawValue & 1 << 4 != 0 }

  /// The descriptor privilege level, 0 to 3.
  @inlinable
  public var dpl: UInt8 {
    get { UInt8(truncatingIfNeeded: rawValue >> 5) & 3 }
    set { rawValue = rawValue & ~0x60 | UInt32(newValue & 3) << 5 }
  }

  /// P: whether the segment is present.
  @inlinable
  public var isPresent: Bool { rawValue & 1 << 7 != 0 }

  /// AVL: the bit that is available to system software.
  @inlinable
  public var isAvailable: Bool { rawValue & 1 << 12 != 0 }

  /// L: 64-bit mode active, of a code segment.
  @inlinable
  public var isLong: Bool { rawValue & 1 << 13 != 0 }

  /// D/B: the default operation size is 32 bits.
  @inlinable
  public var isBig: Bool { rawValue & 1 << 14 != 0 }

  /// G: the limit counts 4-KByte units.
  @inlinable
  public var isGranular: Bool { rawValue & 1 << 15 != 0 }

  /// Whether the register is unusable.
  @inlinable
  public var isUnusable: Bool { rawValue & 1 << 16 != 0 }

  /// Whether this is a code segment.
  @inlinable
  public var isCode: Bool { isCodeOrData && type & 8 != 0 }

  /// Whether this is a data segment.
  @inlinable
  public var isData: Bool { isCodeOrData && type & 8 == 0 }

  /// Whether this is a conforming code segment.
  @inlinable
  public var isConforming: Bool { isCode && type & 4 != 0 }

  /// Whether this is an expand-down data segment.
  @inlinable
  public var isExpandDown: Bool { isData && type & 4 != 0 }

  /// Whether the segment can be read: any data segment, and a readable code segment.
  @inlinable
  public var isReadable: Bool { isCodeOrData && (type & 8 == 0 || type & 2 != 0) }

  /// Whether the segment can be written: a writable data segment.
  @inlinable
  public var isWritable: Bool { isCodeOrData && type & 0xA == 2 }

  /// The accessed bit of a code or data segment's type.
  @inlinable
  public var isAccessed: Bool { isCodeOrData && type & 1 != 0 }

  /// The reserved bits: 11:8 and 31:17.
  @inlinable public static var reservedBits: UInt32 { 0xFFFE_0F00 }
}

/// The type of a system-segment or gate descriptor.
///
/// Source: SDM volume 3, "System Descriptor Types".
public enum SystemSegmentType: UInt8, Sendable {
  case tss16Available = 1
  case ldt = 2
  case tss16Busy = 3
  case callGate16 = 4
  case taskGate = 5
  case interruptGate16 = 6
  case trapGate16 = 7
  /// In IA-32e mode the 64-bit TSS.
  case tss32Available = 9
  /// In IA-32e mode the 64-bit TSS.
  case tss32Busy = 11
  /// In IA-32e mode the 64-bit call gate.
  case callGate32 = 12
  /// In IA-32e mode the 64-bit interrupt gate.
  case interruptGate32 = 14
  /// In IA-32e mode the 64-bit trap gate.
  case trapGate32 = 15

  /// Whether it is a TSS.
  @inlinable
  public var isTaskState: Bool { isBusyTask || self == .tss16Available || self == .tss32Available }

  /// Whether it is the TSS of a busy task.
  @inlinable
  public var isBusyTask: Bool { self == .tss16Busy || self == .tss32Busy }

  /// The least limit that the TSS of a new task may have.
  ///
  /// Source: SDM volume 3, "Exception Conditions Checked During a Task Switch".
  @inlinable
  public var leastTaskStateLimit: UInt32 { self == .tss16Available || self == .tss16Busy ? 0x2B : 0x67 }
}
