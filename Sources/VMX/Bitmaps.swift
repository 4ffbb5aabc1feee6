/// A bit of a bitmap: the byte's offset in bytes, and the bit's mask in the byte.
public struct BitmapPosition: Equatable, Sendable {
  public var offset: UInt64
  public var mask: UInt8

  /// Bit number `bit` of the bitmap that begins at byte `start`.
  @inlinable
  public init(bit: UInt64, start: UInt64 = 0) {
    offset = start &+ bit >> 3
    mask = 1 << UInt8(truncatingIfNeeded: bit & 7)
  }
}

/// The MSR bitmap: 4 KBytes that say which RDMSR and WRMSR cause VM exits.
///
/// Source: SDM volume 3, "MSR-Bitmap Address".
public enum MSRBitmap {
  /// The bit of MSR `index`, or nil if it has none, and every access causes a VM exit.
  @inlinable
  public static func position(of index: UInt32, isWrite: Bool) -> BitmapPosition? {
    let start: UInt64
    switch index {
    case 0...0x1FFF: start = 0
    case 0xC000_0000...0xC000_1FFF: start = 1024
    default: return nil
    }
    return BitmapPosition(bit: UInt64(index & 0x1FFF), start: start &+ (isWrite ? 2048 : 0))
  }
}

/// The I/O bitmaps: A for the ports 0 to 0x7FFF, B for 0x8000 to 0xFFFF.
///
/// Source: SDM volume 3, "I/O-Bitmap Addresses".
public enum IOBitmap {
  /// The bit of `port` in bitmap B if the port is 0x8000 or above, else in A.
  @inlinable
  public static func position(of port: UInt16) -> BitmapPosition {
    BitmapPosition(bit: UInt64(port & 0x7FFF))
  }

  /// The field that holds the address of the bitmap for `port`.
  @inlinable
  public static func field(for port: UInt16) -> VMCSField { port < 0x8000 ? .ioBitmapA : .ioBitmapB }
}

/// The VMREAD and VMWRITE bitmaps: a bit per encoding that says whether the instruction causes a VM exit.
///
/// Source: SDM volume 3, "VMCS Shadowing Bitmap Addresses".
public enum VMCSShadowingBitmap {
  /// The bit of `operand`, a 64-bit register operand, or nil if bits 63:15 are not all 0, and it causes a VM exit.
  @inlinable
  public static func position(of operand: UInt64) -> BitmapPosition? {
    operand >> 15 == 0 ? BitmapPosition(bit: operand) : nil
  }
}

/// An entry of a VM-entry or VM-exit MSR area: 16 bytes.
///
/// Source: SDM volume 3, "VM-Exit Controls for MSRs", table "Format of an MSR Entry".
public struct MSREntry: Hashable, Sendable {
  /// Bits 63:0 of the entry: the index in bits 31:0, the rest reserved.
  public var low: UInt64
  /// The MSR's value.
  public var value: UInt64

  @inlinable
  public init(low: UInt64, value: UInt64) {
    self.low = low
    self.value = value
  }

  @inlinable
  public var index: UInt32 { UInt32(truncatingIfNeeded: low) }

  /// Whether bits 63:32, which must be 0, are not.
  @inlinable
  public var hasReservedBits: Bool { low >> 32 != 0 }

  /// The size of an entry in bytes.
  @inlinable public static var size: UInt64 { 16 }
}
