extension VMCSField {
  /// The number of words that all fields take in a region.
  @inlinable
  public static var slotCount: Int { 212 }

  /// The indices that exist in a group, as a bit mask; every index of the SDM is below 64.
  @inlinable
  static func members(ofGroup group: UInt32) -> UInt64 {
    switch group {
    case 0: 0x3F
    case 1: 0x0
    case 2: 0x7FF
    case 3: 0x7F
    case 4: 0x2E7_FFFF_FFFF
    case 5: 0x7
    case 6: 0x19F_FFFF
    case 7: 0x2FFF
    case 8: 0x7_FFFF
    case 9: 0xFF
    case 10: 0xBF_FFFF
    case 11: 0x1
    case 12: 0xFF
    case 13: 0x3F
    case 14: 0x7F_FFFF
    default: 0x7FFF
    }
  }

  /// The slot of index 0 of a group: where the highest index of the group before it ends.
  ///
  /// One byte per group, in two words, so that a constant field's slot is a constant and any other's two shifts.
  @inlinable @inline(__always)
  static func firstSlot(ofGroup group: UInt32) -> Int {
    let bytes: UInt64 = group & 8 == 0 ? 0x5E45_4218_1106_0600 : 0xC5AE_A8A0_9F87_7F6C
    return Int(truncatingIfNeeded: bytes >> UInt64((group & 7) &* 8) & 0xFF)
  }

  /// The row of index 0 of a group in ``rows``.
  @inlinable
  static func firstRow(ofGroup group: UInt32) -> Int {
    switch group {
    case 0: 0
    case 1: 6
    case 2: 6
    case 3: 17
    case 4: 24
    case 5: 63
    case 6: 66
    case 7: 89
    case 8: 102
    case 9: 121
    case 10: 129
    case 11: 152
    case 12: 153
    case 13: 161
    case 14: 167
    default: 190
    }
  }
}
