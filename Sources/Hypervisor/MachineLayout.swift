import Platform
import X86

/// Where things are in L0-physical and in L1-physical memory.
///
/// L0-physical memory begins with the pool of L0's own pages, then comes L1's RAM. L1 sees its RAM from address 0 up to
/// the 32-bit hole at ``holeStart``, and what does not fit there from 4 GByte on.
struct MachineLayout: Equatable, Sendable {
  /// A contiguous range of L1's RAM.
  struct Range: Equatable, Sendable {
    var l1: PhysicalAddress<L1>
    var l0: PhysicalAddress<L0>
    var size: UInt64
  }

  static let largePage: UInt64 = 2 << 20
  /// Where L1's low RAM ends at the latest; the rest of the first 4 GByte is for devices.
  static let holeStart: UInt64 = 0xC000_0000
  static let highStart: UInt64 = 1 << 32

  /// The size of L0's pool, from L0-physical address 0; page 0 is never handed out.
  let poolSize: UInt64
  /// L1's RAM below the hole.
  let low: Range
  /// L1's RAM from 4 GByte on; its size may be 0.
  let high: Range

  /// The layout for `memorySize` bytes of L1 RAM, a multiple of 4 KByte.
  init(memorySize: UInt64) {
    let tables = memorySize / 64
    poolSize = ((8 << 20) + tables + Self.largePage - 1) & ~(Self.largePage - 1)
    let lowSize = min(memorySize, Self.holeStart)
    low = Range(l1: PhysicalAddress(0), l0: PhysicalAddress(poolSize), size: lowSize)
    high = Range(
      l1: PhysicalAddress(Self.highStart), l0: PhysicalAddress(poolSize + lowSize), size: memorySize - lowSize
    )
  }

  /// The size of L0-physical memory.
  var totalSize: UInt64 { poolSize + low.size + high.size }
}

extension MachineLayout {
  /// What a range of L1-physical addresses is for.
  enum Use: UInt32 {
    case ram = 1
    case reserved = 2
  }

  /// One entry of the memory map that L1 is given (the types are those of ACPI and E820).
  struct MapEntry: Equatable {
    var start: UInt64
    var size: UInt64
    var use: Use
  }

  /// Where the first MByte stops being ordinary RAM, as on every PC.
  static let conventionalEnd: UInt64 = 0xA_0000
  static let extendedStart: UInt64 = 0x10_0000

  var memoryMap: [MapEntry] {
    var map = [
      MapEntry(start: 0, size: Self.conventionalEnd, use: .ram),
      MapEntry(start: Self.conventionalEnd, size: Self.extendedStart - Self.conventionalEnd, use: .reserved),
      MapEntry(start: Self.extendedStart, size: low.size - Self.extendedStart, use: .ram),
    ]
    if high.size > 0 { map.append(MapEntry(start: high.l1.rawValue, size: high.size, use: .ram)) }
    return map
  }
}
