import X86

/// The memory type range registers, which L0 keeps and nothing heeds: the memory of the machine has no types.
///
/// Source: SDM volume 3, "Memory Type Range Registers (MTRRs)".
extension MSRPolicy {
  /// The variable ranges.
  static let rangeCount: UInt32 = 8
  /// IA32_MTRRCAP: the variable ranges, the fixed ranges and the write-combining type.
  static let mtrrCapability = UInt64(rangeCount) | 1 << 8 | 1 << 10
  private static let firstVariableRange: UInt32 = 0x200
  /// The fixed ranges: 64 KByte, 16 KByte and 4 KByte each.
  private static let fixedRanges: [11 of UInt32] = [
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F,
  ]

  /// The places of what L0 only keeps: the table's own first, then these.
  private static let fixedPlace: UInt8 = 4
  private static let variablePlace: UInt8 = 16
  static let timeStampAdjustmentPlace = 2
  static let miscEnablePlace = 3
  private static let placeCount = 32

  /// The storage of one virtual CPU, as a reset leaves it: the MTRRs are off, as firmware leaves them on a machine
  /// whose memory is all write-back but for what the fixed and default types say.
  static func makeStorage() -> UnsafeMutablePointer<UInt64> {
    let storage = UnsafeMutablePointer<UInt64>.allocate(capacity: placeCount)
    storage.initialize(repeating: 0, count: placeCount)
    let enabledWithFixedRanges: UInt64 = 0b11 << 10
    storage[1] = enabledWithFixedRanges | UInt64(MemoryType.writeBack.rawValue)
    storage[miscEnablePlace] = MiscEnable.initial.rawValue
    let writeBack: UInt64 = 0x0606_0606_0606_0606
    for place in 0..<fixedRanges.count { storage[Int(fixedPlace) + place] = writeBack }
    return storage
  }

  /// The row of a range register, or nil if `index` is none.
  static func memoryTypeRow(_ index: UInt32) -> MSRRow? {
    if index >= firstVariableRange, index < firstVariableRange + rangeCount * 2 {
      let distance = index - firstVariableRange
      return MSRRow(
        index: index, .stored(variablePlace + UInt8(distance)),
        writes: distance & 1 == 0 ? .variableRangeBase : .variableRangeMask)
    }
    for place in 0..<fixedRanges.count where fixedRanges[place] == index {
      return MSRRow(index: index, .stored(fixedPlace + UInt8(place)), writes: .memoryTypes)
    }
    return nil
  }

  /// The address bits of a variable range.
  static var rangeAddresses: UInt64 { (1 << UInt64(L1RAM.physicalAddressWidth)) - 0x1000 }

  static func isMTRRType(_ type: UInt64) -> Bool { type == 0 || type == 1 || type >= 4 && type <= 6 }

  static func areMTRRTypes(_ value: UInt64) -> Bool {
    (0..<8).allSatisfy { isMTRRType(value >> ($0 * 8) & 0xFF) }
  }
}
