/// The MP configuration table, for systems without ACPI.
///
/// Source: Intel MultiProcessor Specification 1.4, "MP Configuration Table".
struct MultiprocessorTable {
  var processorCount: Int

  private enum Kind: UInt8 {
    case processor = 0
    case bus = 1
    case ioAPIC = 2
    case ioInterrupt = 3
    case localInterrupt = 4
  }

  private enum InterruptKind: UInt8 {
    case vectored = 0
    case nonMaskable = 1
    case external = 3
  }

  private static let headerSize = 44
  private static let isaBus: UInt8 = 0
  private static let allProcessors: UInt8 = 0xFF
  private static let activeHighLevel: UInt16 = 1 | 3 << 2

  /// The table; its processors' signature and features are only for people, so they stay 0.
  var bytes: [UInt8] {
    let entries = self.entries
    var table = LittleEndianBytes()
    table.append("PCMP", count: 4)
    table.append(UInt16(truncatingIfNeeded: Self.headerSize + entries.reduce(0) { $0 + $1.count }))
    table.append([4, 0])
    table.append(ACPITable.manufacturer, count: 8)
    table.append("TESTUDO", count: 12)
    table.appendZeros(6)
    table.append(UInt16(truncatingIfNeeded: entries.count))
    table.append(UInt32(truncatingIfNeeded: PlatformAddresses.localAPIC))
    table.appendZeros(4)
    for entry in entries { table.append(entry) }
    table.setChecksum(at: 7, over: 0..<table.count)
    return table.bytes
  }

  private var entries: [[UInt8]] {
    (0..<processorCount).map(processor) + [isaBusEntry, ioAPIC] + ioInterrupts + localInterrupts
  }

  private func processor(_ number: Int) -> [UInt8] {
    let enabled: UInt8 = 1
    let bootstrap: UInt8 = number == 0 ? 2 : 0
    let version: UInt8 = 0x15
    return [Kind.processor.rawValue, UInt8(truncatingIfNeeded: number), version, enabled | bootstrap]
      + Array(repeating: 0, count: 16)
  }

  private var isaBusEntry: [UInt8] { [Kind.bus.rawValue, Self.isaBus] + Array("ISA   ".utf8) }

  private var ioAPIC: [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append([Kind.ioAPIC.rawValue, PlatformAddresses.ioAPICIdentifier, 0x20, 1])
    bytes.append(UInt32(truncatingIfNeeded: PlatformAddresses.ioAPIC))
    return bytes.bytes
  }

  private var ioInterrupts: [[UInt8]] {
    (0..<PlatformAddresses.firstPCIInterrupt).filter { $0 != PlatformAddresses.timerGlobalInterrupt }.map {
      line in
      let isTimer = line == PlatformAddresses.timerInterrupt
      let flags = line == PlatformAddresses.systemControlInterrupt ? Self.activeHighLevel : 0
      return interrupt(
        .ioInterrupt, .vectored, flags, source: line, destination: PlatformAddresses.ioAPICIdentifier,
        input: isTimer ? PlatformAddresses.timerGlobalInterrupt : line)
    }
  }

  private var localInterrupts: [[UInt8]] {
    [
      interrupt(.localInterrupt, .external, 0, source: 0, destination: 0, input: 0),
      interrupt(.localInterrupt, .nonMaskable, 0, source: 0, destination: Self.allProcessors, input: 1),
    ]
  }

  private func interrupt(
    _ entry: Kind, _ kind: InterruptKind, _ flags: UInt16, source: UInt8, destination: UInt8, input: UInt8
  ) -> [UInt8] {
    [
      entry.rawValue, kind.rawValue, UInt8(truncatingIfNeeded: flags), UInt8(truncatingIfNeeded: flags >> 8),
      Self.isaBus, source, destination, input,
    ]
  }

  /// The floating pointer structure that is searched for.
  static func pointer(to table: UInt64) -> [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append("_MP_", count: 4)
    bytes.append(UInt32(truncatingIfNeeded: table))
    bytes.append([1, 4, 0, 0, 0, 0, 0, 0])
    bytes.setChecksum(at: 10, over: 0..<16)
    return bytes.bytes
  }
}
