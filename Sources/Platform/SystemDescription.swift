/// The machine as ACPI's differentiated system description (DSDT) has it: what cannot be found by probing.
struct SystemDescription {
  /// The number of processors.
  var processorCount: Int
  /// The places of the virtio devices that are there.
  var virtioSlots: [Int]

  /// The AML of the whole description.
  var code: [UInt8] {
    sleepStates + AML.scope("\\_SB", processors + [hostBridge] + virtioSlots.map(virtioDevice))
  }

  /// S5 is the only sleeping state. The package's first two elements are what PM1a and PM1b take.
  private var sleepStates: [UInt8] {
    let type = AML.integer(UInt64(PlatformAddresses.softOffSleepType))
    return AML.name("\\_S5", AML.package([type, type, AML.integer(0), AML.integer(0)]))
  }

  private var processors: [[UInt8]] {
    (0..<processorCount).map { number in
      let digits = String(number, radix: 16, uppercase: true)
      return AML.device(
        "C" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits,
        [
          AML.name("_HID", AML.string("ACPI0007")), AML.name("_UID", AML.integer(UInt64(number))),
        ])
    }
  }

  private var hostBridge: [UInt8] {
    let configuration = PlatformAddresses.Ports(PlatformAddresses.pciConfigurationAddress.first, 8)
    let resources = [
      ResourceDescriptor.window(.buses, 0...0),
      ResourceDescriptor.ports(configuration),
      ResourceDescriptor.window(.ports, 0...(configuration.first - 1)),
      ResourceDescriptor.window(.ports, (configuration.first + configuration.count)...0xFFFF),
      ResourceDescriptor.window(PlatformAddresses.pciMemory),
    ]
    let identity = [
      AML.name("_HID", AML.eisaIdentifier("PNP0A03")), AML.name("_UID", AML.integer(0)),
      AML.name("_BBN", AML.integer(0)), AML.name("_CRS", ResourceDescriptor.template(resources)),
    ]
    return AML.device("PCI0", identity + isaDevices)
  }

  private var isaDevices: [[UInt8]] {
    typealias Place = PlatformAddresses
    return [
      isaDevice(
        "PIC", "PNP0000",
        ports: [Place.masterInterruptController, Place.slaveInterruptController, Place.edgeLevelControl],
        interrupt: Place.timerGlobalInterrupt),
      isaDevice("TIMR", "PNP0100", ports: [Place.intervalTimer], interrupt: Place.timerInterrupt),
      isaDevice("RTC", "PNP0B00", ports: [Place.realTimeClock], interrupt: Place.realTimeClockInterrupt),
      isaDevice(
        "KBD", "PNP0303", ports: [Place.keyboardData, Place.keyboardCommand],
        interrupt: Place.keyboardInterrupt),
      isaDevice("SPKR", "PNP0800", ports: [Place.systemControlB]),
      isaDevice("COM1", "PNP0501", ports: [Place.com1], interrupt: Place.com1Interrupt),
      firmwareConfiguration,
    ]
  }

  private func isaDevice(
    _ name: String, _ identifier: String, ports: [PlatformAddresses.Ports], interrupt: UInt8? = nil
  ) -> [UInt8] {
    let interrupts = interrupt.map { [ResourceDescriptor.isaInterrupt($0)] } ?? []
    return AML.device(
      name,
      [
        AML.name("_HID", AML.eisaIdentifier(identifier)),
        AML.name("_CRS", ResourceDescriptor.template(ports.map(ResourceDescriptor.ports) + interrupts)),
      ])
  }

  private var firmwareConfiguration: [UInt8] {
    let resources = [ResourceDescriptor.ports(PlatformAddresses.firmwareConfiguration)]
    return AML.device(
      "FWCF",
      [
        AML.name("_HID", AML.string("QEMU0002")), AML.name("_STA", AML.integer(0xB)),
        AML.name("_CRS", ResourceDescriptor.template(resources)),
      ])
  }

  private func virtioDevice(_ slot: Int) -> [UInt8] {
    let resources = [
      ResourceDescriptor.memory(
        UInt32(truncatingIfNeeded: PlatformAddresses.virtio(slot)),
        count: UInt32(truncatingIfNeeded: PlatformAddresses.virtioSize)),
      ResourceDescriptor.levelInterrupt(UInt32(PlatformAddresses.virtioInterrupt(slot))),
    ]
    return AML.device(
      "VR0" + String(slot & 0xF, radix: 16, uppercase: true),
      [
        AML.name("_HID", AML.string("LNRO0005")), AML.name("_UID", AML.integer(UInt64(slot))),
        AML.name("_CCA", AML.integer(1)),
        AML.name("_CRS", ResourceDescriptor.template(resources)),
      ])
  }
}
