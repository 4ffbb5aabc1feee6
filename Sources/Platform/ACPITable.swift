/// A system description table of ACPI: the header that all have, and a body.
///
/// Source: ACPI Specification, "System Description Table Header".
struct ACPITable {
  /// How many bytes the header has.
  static let headerSize = 36
  static let manufacturer = "TESTUD"
  static let model = "TESTUDO0"

  private static let lengthOffset = 4
  private static let checksumOffset = 9

  /// The whole table.
  private(set) var bytes: [UInt8]

  /// The table whose four-character signature is `signature`.
  init(_ signature: String, revision: UInt8, body: [UInt8]) {
    var table = LittleEndianBytes()
    table.append(signature, count: 4)
    table.append(UInt32(truncatingIfNeeded: Self.headerSize + body.count))
    table.append(revision)
    table.append(UInt8(0))
    table.append(Self.manufacturer, count: 6)
    table.append(Self.model, count: 8)
    table.append(UInt32(1))
    table.append("TSTD", count: 4)
    table.append(UInt32(1))
    table.append(body)
    table.setChecksum(at: Self.checksumOffset, over: 0..<table.count)
    bytes = table.bytes
  }
}

/// A generic address structure: where ACPI finds a register.
///
/// Source: ACPI Specification, "Generic Address Structure".
struct GenericAddress {
  private static let systemInputOutput: UInt8 = 1

  /// A range of ports, or nil for a register that does not exist.
  var ports: PlatformAddresses.Ports?
  /// The size of an access in bytes: 1, 2 or 4.
  var accessSize: UInt8 = 1

  func write(to table: inout LittleEndianBytes) {
    guard let ports else {
      table.appendZeros(12)
      return
    }
    table.append(Self.systemInputOutput)
    table.append(UInt8(truncatingIfNeeded: ports.count &* 8))
    table.append(UInt8(0))
    table.append(UInt8(truncatingIfNeeded: accessSize.trailingZeroBitCount + 1))
    table.append(UInt64(ports.first))
  }
}
