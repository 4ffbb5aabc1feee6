/// The multiple APIC description table: processors, I/O APIC, and how ISA lines reach it.
///
/// Source: ACPI Specification, "Multiple APIC Description Table (MADT)".
struct InterruptDescription {
  var processorCount: Int

  private enum Kind: UInt8 {
    case localAPIC = 0
    case ioAPIC = 1
    case sourceOverride = 2
    case localNMI = 4
  }

  /// There are 8259s, too.
  private static let hasLegacyControllers: UInt32 = 1
  private static let conformsToBus: UInt16 = 0
  private static let activeHighLevel: UInt16 = 1 | 3 << 2
  private static let allProcessors: UInt8 = 0xFF
  private static let isa: UInt8 = 0

  var table: ACPITable {
    var body = LittleEndianBytes()
    body.append(UInt32(truncatingIfNeeded: PlatformAddresses.localAPIC))
    body.append(Self.hasLegacyControllers)
    for number in 0..<processorCount {
      let identifier = UInt8(truncatingIfNeeded: number)
      body.append([Kind.localAPIC.rawValue, 8, identifier, identifier, 1, 0, 0, 0])
    }
    body.append([Kind.ioAPIC.rawValue, 12, PlatformAddresses.ioAPICIdentifier, 0])
    body.append(UInt32(truncatingIfNeeded: PlatformAddresses.ioAPIC))
    body.append(UInt32(0))
    addOverride(
      PlatformAddresses.timerInterrupt, PlatformAddresses.timerGlobalInterrupt, Self.conformsToBus, to: &body)
    addOverride(
      PlatformAddresses.systemControlInterrupt, PlatformAddresses.systemControlInterrupt,
      Self.activeHighLevel,
      to: &body)
    body.append([Kind.localNMI.rawValue, 6, Self.allProcessors, 0, 0, 1])
    return ACPITable("APIC", revision: 3, body: body.bytes)
  }

  private func addOverride(_ line: UInt8, _ global: UInt8, _ flags: UInt16, to body: inout LittleEndianBytes)
  {
    body.append([Kind.sourceOverride.rawValue, 10, Self.isa, line])
    body.append(UInt32(global))
    body.append(flags)
  }
}
