/// A segment selector.
///
/// Source: SDM volume 3, "Segment Selectors".
public struct SegmentSelector: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt16

  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The requested privilege level, 0 to 3.
  @inlinable
  public var rpl: UInt8 { UInt8(truncatingIfNeeded: rawValue) & 3 }

  /// The table indicator: whether the descriptor is in the LDT.
  @inlinable
  public var isLocal: Bool { rawValue & 4 != 0 }

  /// The offset of the descriptor in its table, in bytes.
  @inlinable
  public var offset: UInt64 { UInt64(rawValue & ~7) }

  /// Whether this is a null selector: index 0 of the GDT.
  @inlinable
  public var isNull: Bool { rawValue & ~3 == 0 }
}
