/// A VMCS field by its encoding: the operand of VMREAD and VMWRITE.
///
/// Only fields of the SDM can be made, so that ``slot`` always lies in the region. An encoding with the access type
/// "high" denotes bits 63:32 of its 64-bit field and shares that field's slot.
///
/// Source: SDM volume 3, "VMREAD, VMWRITE, and Encodings of VMCS Fields".
public struct VMCSField: RawRepresentable, Hashable, Sendable {
  /// The encoding.
  public let rawValue: UInt32

  /// A constant of this module; the encoding is known to exist.
  @inlinable
  init(encoding: UInt32) { self.rawValue = encoding }

  /// The field or high half that `rawValue` encodes, or nil if the SDM defines none.
  @inlinable
  public init?(rawValue: UInt32) {
    let isHigh = rawValue & 1 != 0
    guard rawValue & Self.reservedBits == 0 else { return nil }
    let field = Self(encoding: rawValue)
    guard Self.members(ofGroup: field.group) >> UInt64(field.index) & 1 != 0 else { return nil }
    guard !isHigh || field.width == .w64 else { return nil }
    self = field
  }

  /// The field that `operand`, a 64-bit register operand of VMREAD or VMWRITE, encodes, or nil if there is none.
  @inlinable
  public init?(operand: UInt64) {
    guard let encoding = UInt32(exactly: operand) else { return nil }
    self.init(rawValue: encoding)
  }

  /// The number of bits of a field.
  public enum Width: UInt8, Sendable {
    case w16, w64, w32, natural

    /// The bits that a field of this width keeps (natural width is 64 bits on this processor).
    @inlinable
    public var mask: UInt64 {
      switch self {
      case .w16: 0xFFFF
      case .w32: 0xFFFF_FFFF
      case .w64, .natural: .max
      }
    }
  }

  /// The logical group of a field: the "type" of its encoding.
  public enum Area: UInt8, Sendable {
    case control
    /// VM-exit information; read-only unless IA32_VMX_MISC bit 29 is 1.
    case readOnlyData
    case guestState
    case hostState
  }

  /// Bits 14:13 of the encoding.
  @inlinable
  public var width: Width {
    switch rawValue >> 13 & 3 {
    case 0: .w16
    case 1: .w64
    case 2: .w32
    default: .natural
    }
  }

  /// Bits 11:10 of the encoding.
  @inlinable
  public var area: Area {
    switch rawValue >> 10 & 3 {
    case 0: .control
    case 1: .readOnlyData
    case 2: .guestState
    default: .hostState
    }
  }

  /// Bits 9:1 of the encoding: the field's number among those of its width and area.
  @inlinable
  public var index: UInt32 { rawValue >> 1 & 0x1FF }

  /// Bit 0 of the encoding, the access type: whether it denotes bits 63:32 of a 64-bit field.
  @inlinable
  public var isHighAccess: Bool { rawValue & 1 != 0 }

  /// The whole field, without the access type.
  @inlinable
  public var full: Self { Self(encoding: rawValue & ~1) }

  /// The word of the VMCS region that holds the field: from 0 up to ``slotCount`` - 1.
  @inlinable
  public var slot: Int {
    Self.firstSlot(ofGroup: group) &+ Int(index)
  }

  /// The width and area as one number, 0 to 15.
  @inlinable
  var group: UInt32 { (rawValue >> 13 & 3) << 2 | rawValue >> 10 & 3 }

  /// The bits of an encoding that are always 0.
  @usableFromInline
  static var reservedBits: UInt32 { 0xFFFF_9000 | 0x380 }
}
