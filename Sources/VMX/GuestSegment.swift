import X86

/// A segment register with fields in the guest-state area, in the order of its fields' encodings.
public enum GuestSegment: UInt8, CaseIterable, Sendable {
  case es, cs, ss, ds, fs, gs, ldtr, tr

  /// The segment register of an instruction's operand.
  @inlinable
  public init(_ register: SegmentRegister) {
    self = Self(rawValue: register.rawValue) ?? .ds
  }

  /// The segment that `field` belongs to, or nil if it is no segment field of the guest-state area.
  @inlinable
  public init?(field: VMCSField) {
    let offset = field.rawValue &- Self.es.selectorField.rawValue
    if let segment = Self(distance: offset) { self = segment; return }
    if let segment = Self(distance: field.rawValue &- Self.es.limitField.rawValue) { self = segment; return }
    if let segment = Self(distance: field.rawValue &- Self.es.accessRightsField.rawValue) {
      self = segment
      return
    }
    guard let segment = Self(distance: field.rawValue &- Self.es.baseField.rawValue) else { return nil }
    self = segment
  }

  @inlinable
  init?(distance: UInt32) {
    guard distance & 1 == 0, distance < 16 else { return nil }
    self.init(rawValue: UInt8(truncatingIfNeeded: distance >> 1))
  }

  /// The fields of a kind follow one another: their encodings differ by 2.
  @inlinable
  func field(after first: VMCSField) -> VMCSField {
    VMCSField(encoding: first.rawValue &+ UInt32(rawValue) &* 2)
  }

  @inlinable public var selectorField: VMCSField { field(after: .guestESSelector) }
  @inlinable public var limitField: VMCSField { field(after: .guestESLimit) }
  @inlinable public var accessRightsField: VMCSField { field(after: .guestESAccessRights) }
  @inlinable public var baseField: VMCSField { field(after: .guestESBase) }
}

extension VMCS {
  /// The selector of a guest segment register.
  @inlinable
  public func selector(of segment: GuestSegment) -> SegmentSelector {
    SegmentSelector(rawValue: UInt16(truncatingIfNeeded: self[segment.selectorField]))
  }

  /// The access rights of a guest segment register.
  @inlinable
  public func accessRights(of segment: GuestSegment) -> SegmentAccessRights {
    SegmentAccessRights(rawValue: UInt32(truncatingIfNeeded: self[segment.accessRightsField]))
  }
}
