/// What firmware leaves in the CMOS memory beside the clock: the sizes of RAM and the equipment.
///
/// Source: Ralf Brown's CMOS memory map, "Standard CMOS" of the IBM PC/AT and its successors.
public struct ClockMemory: Equatable, Sendable {
  /// RAM below the 32-bit hole, in bytes.
  public var lowMemory: UInt64
  /// RAM from 4 GByte on, in bytes.
  public var highMemory: UInt64

  public init(lowMemory: UInt64, highMemory: UInt64) {
    self.lowMemory = lowMemory
    self.highMemory = highMemory
  }

  private static let equipmentByte = 0x14
  /// A coprocessor, and no floppy drive.
  private static let equipment: UInt8 = 0x02
  private static let baseMemory = 0x15
  private static let extendedMemory = 0x17
  private static let extendedMemoryCopy = 0x30
  /// From 16 MByte to the hole, in units of 64 KByte.
  private static let memoryAbove16MByte = 0x34
  /// From 4 GByte, in units of 64 KByte: three bytes.
  private static let memoryAbove4GByte = 0x5B
  private static let checksummed = 0x10...0x2D
  private static let checksum = 0x2E

  func write(to registers: inout ClockRegisters) {
    let extendedKBytes = lowMemory.clampedDifference(1 << 20) >> 10
    registers.bytes[Self.equipmentByte] = Self.equipment
    registers.set(min(lowMemory >> 10, 640), at: Self.baseMemory, count: 2)
    registers.set(min(extendedKBytes, 0xFFFF), at: Self.extendedMemory, count: 2)
    registers.set(min(extendedKBytes, 0xFFFF), at: Self.extendedMemoryCopy, count: 2)
    registers.set(
      min(lowMemory.clampedDifference(16 << 20) >> 16, 0xFFFF), at: Self.memoryAbove16MByte, count: 2)
    registers.set(min(highMemory >> 16, 0xFF_FFFF), at: Self.memoryAbove4GByte, count: 3)
    let sum = registers.bytes[Self.checksummed].reduce(UInt16(0)) { $0 &+ UInt16($1) }
    // The checksum alone has its high byte first.
    registers.set(UInt64(sum.byteSwapped), at: Self.checksum, count: 2)
  }
}

extension UInt64 {
  /// `self` less `other`, or 0.
  fileprivate func clampedDifference(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}

extension ClockRegisters {
  /// Stores the low `count` bytes of `value`, lowest first.
  fileprivate mutating func set(_ value: UInt64, at index: Int, count: Int) {
    for position in 0..<count {
      bytes[index + position] = UInt8(truncatingIfNeeded: value >> (UInt64(position) &* 8))
    }
  }
}
