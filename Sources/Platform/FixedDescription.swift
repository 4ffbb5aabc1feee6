/// The fixed ACPI description table: where ACPI's fixed hardware is.
///
/// Source: ACPI Specification, "Fixed ACPI Description Table (FADT)".
struct FixedDescription {
  /// The addresses of the two tables that this one points to.
  var facs: UInt64
  var dsdt: UInt64

  private struct Flags: OptionSet {
    let rawValue: UInt32

    /// WBINVD works.
    static let cacheFlush = Self(rawValue: 1 << 0)
    /// Every processor has the C1 state, HLT.
    static let haltOnAllProcessors = Self(rawValue: 1 << 2)
    /// There is no fixed-hardware sleep button.
    static let noFixedSleepButton = Self(rawValue: 1 << 5)
    static let timerHas32Bits = Self(rawValue: 1 << 8)
    static let hasResetRegister = Self(rawValue: 1 << 10)
  }

  private struct BootArchitecture: OptionSet {
    let rawValue: UInt16

    static let legacyDevices = Self(rawValue: 1 << 0)
    static let keyboardController = Self(rawValue: 1 << 1)
    static let noVGA = Self(rawValue: 1 << 2)
  }

  private enum Latency {
    /// Greater than the greatest that a C2, and a C3 state may have: there are none.
    static let noC2: UInt16 = 101
    static let noC3: UInt16 = 1001
  }

  private static let enterpriseServer: UInt8 = 4
  private static let centuryRegister: UInt8 = 0x32

  var table: ACPITable {
    typealias Place = PlatformAddresses
    var body = LittleEndianBytes()
    body.append(UInt32(truncatingIfNeeded: facs))
    body.append(UInt32(truncatingIfNeeded: dsdt))
    body.append([0, Self.enterpriseServer])
    body.append(UInt16(Place.systemControlInterrupt))
    // No SMI command port: the machine is in ACPI mode from the start.
    body.appendZeros(8)
    for port in [
      Place.pm1Event.first, 0, Place.pm1Control.first, 0, 0, Place.powerManagementTimer.first, 0, 0,
    ] {
      body.append(UInt32(port))
    }
    body.append([Place.pm1Event, Place.pm1Control].map { UInt8(truncatingIfNeeded: $0.count) })
    body.append([0, UInt8(truncatingIfNeeded: Place.powerManagementTimer.count), 0, 0, 0, 0])
    body.append(Latency.noC2)
    body.append(Latency.noC3)
    body.appendZeros(8)
    body.append(Self.centuryRegister)
    let architecture: BootArchitecture = [.legacyDevices, .keyboardController, .noVGA]
    body.append(architecture.rawValue)
    body.append(UInt8(0))
    let flags: Flags = [
      .cacheFlush, .haltOnAllProcessors, .noFixedSleepButton, .timerHas32Bits, .hasResetRegister,
    ]
    body.append(flags.rawValue)
    GenericAddress(ports: Place.resetControl).write(to: &body)
    body.append(Place.resetValue)
    body.appendZeros(3)
    // The 64-bit address of the FACS stays 0, for only one of the two may be given.
    body.append(UInt64(0))
    body.append(dsdt)
    let extended = [
      GenericAddress(ports: Place.pm1Event, accessSize: 2), GenericAddress(),
      GenericAddress(ports: Place.pm1Control, accessSize: 2), GenericAddress(), GenericAddress(),
      GenericAddress(ports: Place.powerManagementTimer, accessSize: 4), GenericAddress(), GenericAddress(),
      GenericAddress(), GenericAddress(),
    ]
    for register in extended { register.write(to: &body) }
    return ACPITable("FACP", revision: 5, body: body.bytes)
  }
}
