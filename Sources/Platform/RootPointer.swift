/// ACPI's root: the pointer that is searched for, and the tables that list the others.
///
/// Source: ACPI Specification, "Root System Description Pointer (RSDP)", "Root System Description Table (RSDT)",
/// "Extended System Description Table (XSDT)".
enum RootPointer {
  static let size = 36
  /// How many bytes the pointer had in ACPI 1.0, which have a checksum of their own.
  private static let oldSize = 20
  private static let checksumOffset = 8
  private static let extendedChecksumOffset = 32

  static func pointer(rsdt: UInt64, xsdt: UInt64) -> [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append("RSD PTR ", count: 8)
    bytes.append(UInt8(0))
    bytes.append(ACPITable.manufacturer, count: 6)
    bytes.append(UInt8(2))
    bytes.append(UInt32(truncatingIfNeeded: rsdt))
    bytes.append(UInt32(size))
    bytes.append(xsdt)
    bytes.appendZeros(4)
    bytes.setChecksum(at: checksumOffset, over: 0..<oldSize)
    bytes.setChecksum(at: extendedChecksumOffset, over: 0..<size)
    return bytes.bytes
  }

  static func table32(_ tables: [UInt64]) -> ACPITable {
    var body = LittleEndianBytes()
    for table in tables { body.append(UInt32(truncatingIfNeeded: table)) }
    return ACPITable("RSDT", revision: 1, body: body.bytes)
  }

  static func table64(_ tables: [UInt64]) -> ACPITable {
    var body = LittleEndianBytes()
    for table in tables { body.append(table) }
    return ACPITable("XSDT", revision: 1, body: body.bytes)
  }
}

/// The firmware ACPI control structure.
///
/// Source: ACPI Specification, "Firmware ACPI Control Structure (FACS)".
enum FirmwareControl {
  static var table: [UInt8] {
    var bytes = LittleEndianBytes()
    bytes.append("FACS", count: 4)
    bytes.append(UInt32(64))
    bytes.appendZeros(24)
    bytes.append(UInt8(2))
    bytes.appendZeros(31)
    return bytes.bytes
  }
}
