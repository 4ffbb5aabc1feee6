/// A segment descriptor: the eight bytes in a GDT or LDT. A system descriptor of IA-32e mode has eight more, of which
/// only bits 31:0, the upper half of the base, matter to the fields here.
///
/// Source: SDM volume 3, "Segment Descriptors".
public struct SegmentDescriptor: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64

  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// A descriptor of `base`, `limit` in bytes, and `accessRights`, whose G bit says how `limit` is stored.
  @inlinable
  public init(base: UInt32, limit: UInt32, accessRights: SegmentAccessRights) {
    let units = UInt64(accessRights.isGranular ? limit >> 12 : limit)
    let base = UInt64(base)
    let rights = UInt64(accessRights.rawValue & 0xF0FF)
    rawValue =
      units & 0xFFFF | (units >> 16 & 0xF) << 48 | (base & 0xFF_FFFF) << 16 | (base >> 24) << 56 | rights
      << 40
  }

  /// Bits 31:0 of the base.
  @inlinable
  public var base: UInt64 { rawValue >> 16 & 0xFF_FFFF | (rawValue >> 56) << 24 }

  /// The whole base of a 16-byte descriptor, whose second half is `upper`.
  @inlinable
  public func base(upper: UInt64) -> UInt64 { base | upper << 32 }

  /// The limit in bytes, scaled by the G bit.
  @inlinable
  public var limit: UInt32 {
    let units = UInt32(truncatingIfNeeded: rawValue & 0xFFFF | rawValue >> 32 & 0xF_0000)
    return accessRights.isGranular ? units << 12 | 0xFFF : units
  }

  /// The access rights, in the format of the VMCS.
  @inlinable
  public var accessRights: SegmentAccessRights {
    SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: rawValue >> 40) & 0xF0FF)
  }
}

/// A gate descriptor: eight bytes, and eight more in IA-32e mode that hold bits 63:32 of the offset.
///
/// Source: SDM volume 3, "IDT Descriptors" and "64-Bit Mode IDT".
public struct GateDescriptor: Hashable, Sendable {
  public var lower: UInt64
  /// The second half in IA-32e mode, else 0.
  public var upper: UInt64

  @inlinable
  public init(lower: UInt64, upper: UInt64 = 0) {
    self.lower = lower
    self.upper = upper
  }

  /// The address of the handler in its segment.
  @inlinable
  public var offset: UInt64 { lower & 0xFFFF | lower >> 32 & 0xFFFF_0000 | upper << 32 }

  /// The selector of the handler's segment, or of the TSS.
  @inlinable
  public var selector: SegmentSelector { SegmentSelector(rawValue: UInt16(truncatingIfNeeded: lower >> 16)) }

  /// The interrupt stack table entry, 0 for none.
  @inlinable
  public var stackTable: UInt8 { UInt8(truncatingIfNeeded: lower >> 32) & 7 }

  /// The number of parameters that a call gate copies.
  @inlinable
  public var parameterCount: UInt8 { UInt8(truncatingIfNeeded: lower >> 32) & 0x1F }

  /// The type, or nil if it is reserved or none of a system segment.
  @inlinable
  public var type: SystemSegmentType? {
    guard lower >> 44 & 1 == 0 else { return nil }
    return SystemSegmentType(rawValue: UInt8(truncatingIfNeeded: lower >> 40) & 0xF)
  }

  /// The descriptor privilege level, 0 to 3.
  @inlinable
  public var dpl: UInt8 { UInt8(truncatingIfNeeded: lower >> 45) & 3 }

  /// Whether the gate is present.
  @inlinable
  public var isPresent: Bool { lower >> 47 & 1 != 0 }
}
