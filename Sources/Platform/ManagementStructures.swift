/// The SMBIOS structures: what the machine is called and what is in it.
///
/// Source: DMTF System Management BIOS Reference Specification 2.8, "Structure definitions".
struct ManagementStructures {
  var processorCount: Int
  /// RAM in bytes.
  var memorySize: UInt64

  private enum Kind: UInt8 {
    case firmware = 0
    case system = 1
    case chassis = 3
    case processor = 4
    case memoryArray = 16
    case memoryDevice = 17
    case arrayAddress = 19
    case boot = 32
    case end = 127
  }

  private static let vendor = "Testudo"
  private static let arrayHandle: UInt16 = 0x1000

  var bytes: [UInt8] { structures.reduce([], +) }

  private var structures: [[UInt8]] {
    [firmware, system, chassis] + (0..<processorCount).map(processor)
      + [memoryArray, memoryDevice, arrayAddress, boot, end]
  }

  /// A structure: its header, its formatted part, and its strings, which are numbered from 1.
  private func structure(_ kind: Kind, _ handle: UInt16, _ body: LittleEndianBytes, _ strings: [String] = [])
    -> [UInt8]
  {
    var bytes = LittleEndianBytes()
    bytes.append([kind.rawValue, UInt8(truncatingIfNeeded: 4 + body.count)])
    bytes.append(handle)
    bytes.append(body.bytes)
    for text in strings { bytes.append(Array(text.utf8) + [0]) }
    bytes.append(strings.isEmpty ? [0, 0] : [0])
    return bytes.bytes
  }

  private var firmware: [UInt8] {
    let characteristicsNotSupported: UInt64 = 1 << 3
    let isVirtualMachine: UInt8 = 1 << 4
    var body = LittleEndianBytes()
    body.append([1, 2, 0, 0xE0, 3, 0])
    body.append(characteristicsNotSupported)
    body.append([0, isVirtualMachine, 0, 0, 0xFF, 0xFF])
    return structure(.firmware, 0, body, [Self.vendor, "1", "01/01/2026"])
  }

  private var system: [UInt8] {
    let powerSwitch: UInt8 = 6
    var body = LittleEndianBytes()
    body.append([1, 2, 3, 0])
    body.appendZeros(16)
    body.append([powerSwitch, 0, 0])
    return structure(.system, 0x100, body, [Self.vendor, "Testudo L1", "1"])
  }

  private var chassis: [UInt8] {
    let other: UInt8 = 1
    let safe: UInt8 = 3
    var body = LittleEndianBytes()
    body.append([1, other, 0, 0, 0, safe, safe, safe, 2])
    body.appendZeros(8)
    return structure(.chassis, 0x300, body, [Self.vendor])
  }

  private func processor(_ number: Int) -> [UInt8] {
    let centralProcessor: UInt8 = 3
    let other: UInt8 = 1
    let populatedAndEnabled: UInt8 = 0x41
    let noCache: UInt16 = 0xFFFF
    var body = LittleEndianBytes()
    body.append([1, centralProcessor, other, 2])
    body.appendZeros(16)
    body.append([populatedAndEnabled, other])
    for _ in 0..<3 { body.append(noCache) }
    body.append([0, 0, 0, 1, 1, 1])
    body.append(UInt16(1 << 2))
    body.append(UInt16(other))
    return structure(
      .processor, 0x400 &+ UInt16(truncatingIfNeeded: number), body, ["CPU \(number)", Self.vendor])
  }

  private var memoryArray: [UInt8] {
    let other: UInt8 = 1
    let systemMemory: UInt8 = 3
    let multiBitCorrection: UInt8 = 6
    let none: UInt16 = 0xFFFE
    var body = LittleEndianBytes()
    body.append([other, systemMemory, multiBitCorrection])
    // The capacity is in the 64-bit field at the end.
    body.append(UInt32(0x8000_0000))
    body.append(none)
    body.append(UInt16(1))
    body.append(memorySize)
    return structure(.memoryArray, Self.arrayHandle, body)
  }

  private var memoryDevice: [UInt8] {
    let none: UInt16 = 0xFFFE
    let seeExtendedSize: UInt16 = 0x7FFF
    let megabytes = UInt32(truncatingIfNeeded: min(memorySize >> 20, 0x7FFF_FFFF))
    var body = LittleEndianBytes()
    body.append(Self.arrayHandle)
    body.append(none)
    body.append(UInt32(0xFFFF_FFFF))
    body.append(megabytes < 0x7FFF ? UInt16(megabytes) : seeExtendedSize)
    body.append([9, 0, 1, 0, 7])
    body.append(UInt16(1 << 1))
    body.append(UInt16(0))
    body.append([0, 0, 0, 0, 0])
    body.append(megabytes)
    body.append(UInt16(0))
    body.appendZeros(6)
    return structure(.memoryDevice, 0x1100, body, ["DIMM 0"])
  }

  private var arrayAddress: [UInt8] {
    var body = LittleEndianBytes()
    body.append(UInt32.max)
    body.append(UInt32.max)
    body.append(Self.arrayHandle)
    body.append(UInt8(1))
    body.append(UInt64(0))
    body.append(memorySize &- 1)
    return structure(.arrayAddress, 0x1300, body)
  }

  private var boot: [UInt8] {
    var body = LittleEndianBytes()
    body.appendZeros(7)
    return structure(.boot, 0x2000, body)
  }

  private var end: [UInt8] { structure(.end, 0x7F00, LittleEndianBytes()) }

  // MARK: Entry point

  /// The 32-bit entry point that is searched for.
  ///
  /// Source: the same specification, "SMBIOS 2.1 (32-bit) Entry Point".
  func entryPoint(table: UInt64) -> [UInt8] {
    let structures = self.structures
    var bytes = LittleEndianBytes()
    bytes.append("_SM_", count: 4)
    bytes.append([0, 31, 2, 8])
    bytes.append(UInt16(truncatingIfNeeded: structures.map(\.count).max() ?? 0))
    bytes.appendZeros(6)
    bytes.append("_DMI_", count: 5)
    bytes.append(UInt8(0))
    bytes.append(UInt16(truncatingIfNeeded: structures.reduce(0) { $0 + $1.count }))
    bytes.append(UInt32(truncatingIfNeeded: table))
    bytes.append(UInt16(truncatingIfNeeded: structures.count))
    bytes.append(UInt8(0x28))
    bytes.setChecksum(at: 21, over: 16..<31)
    bytes.setChecksum(at: 4, over: 0..<31)
    return bytes.bytes
  }
}
