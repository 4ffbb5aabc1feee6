/// What a board is made for.
public struct BoardConfiguration {
  /// The number of processors, from 1 to ``processorLimit``.
  public var processorCount = 1
  /// RAM below the 32-bit hole, in bytes.
  public var lowMemory: UInt64
  /// RAM from 4 GByte on, in bytes.
  public var highMemory: UInt64 = 0
  /// What the local APICs have beside what all have.
  public var hasX2APIC = true
  public var hasDeadlineTimer = true
  public var physicalAddressWidth: UInt8 = UInt8(CPUIDPolicy.physicalAddressBits)
  /// What the real-time clock says as the machine starts, in seconds since 1970-01-01T00:00:00 UTC.
  public var clockStart: Int64 = Self.defaultClockStart
  /// Receives each byte that the guest writes to its serial port.
  public var serialOutput: (UInt8) -> Void = { _ in }
  /// L1's RAM, for the devices that reach it by themselves.
  public var memory: any DeviceMemory = NoDeviceMemory()
  /// The virtio devices, in the order of their places; those beyond ``PlatformAddresses/virtioLimit`` are left out.
  public var virtioDevices: [any VirtioDevice] = []
  /// What the firmware configuration device holds beside the sizes of the machine: names and contents.
  public var firmwareFiles: [FirmwareFile] = []

  var boundedProcessorCount: Int { max(1, min(processorCount, Self.processorLimit)) }
  var boundedVirtioDevices: ArraySlice<any VirtioDevice> {
    virtioDevices.prefix(PlatformAddresses.virtioLimit)
  }

  /// The greatest number of processors: 8-bit APIC identifiers, without FFH, which means all.
  public static let processorLimit = 255
  /// 2026-01-01T00:00:00 UTC: a fixed date, so that runs repeat.
  public static let defaultClockStart: Int64 = 1_767_225_600

  /// A board with `lowMemory` bytes of RAM below the 32-bit hole.
  public init(lowMemory: UInt64) { self.lowMemory = lowMemory }
}

/// The board of a machine: its buses, interrupt controllers, timers and other devices, wired.
///
/// It belongs to the thread of the machine. L0 passes the guest's accesses to ``ports`` and ``memory`` (and those to a
/// local APIC's page to that processor's), calls ``advance(to:)`` when ``nextDeadline`` has come, and looks at
/// ``events`` after both.
public final class Board {
  public let time: any MachineTime
  public var ports = PortBus()
  public var memory = MemoryBus()
  public let events = MachineEvents()
  public let bus: APICBus
  /// What drives the machine's interrupt lines. A device is given a line by ``interruptLine(_:)``.
  public let interrupts: InterruptRouter
  /// COM1. The user's console hands it what is typed.
  public let serial: SerialPort
  public let powerManagement: PowerManagement
  /// What L0 tells of x87 errors while CR0.NE is 0.
  public let coprocessorError: CoprocessorErrorLatch
  private let legacyInterrupts: InterruptControllerPair
  private let ioAPIC: IOAPIC
  private var timed: [any TimedDevice] = []

  /// One for each processor; the first is the bootstrap processor's.
  public var localAPICs: [LocalAPIC] { bus.localAPICs }

  public init(_ configuration: BoardConfiguration, time: any MachineTime) {
    self.time = time
    let bus = APICBus(time: time, physicalAddressWidth: configuration.physicalAddressWidth)
    self.bus = bus
    legacyInterrupts = InterruptControllerPair { [unowned bus] in bus.setExternalInterrupt($0) }
    ioAPIC = IOAPIC(on: bus)
    let interrupts = InterruptRouter(legacy: legacyInterrupts, ioAPIC: ioAPIC)
    self.interrupts = interrupts
    func line(_ number: UInt8) -> InterruptLine { InterruptLine(number, of: interrupts) }
    serial = SerialPort(line: line(PlatformAddresses.com1Interrupt), sink: configuration.serialOutput)
    powerManagement = PowerManagement(
      time: time, events: events, line: line(PlatformAddresses.systemControlInterrupt))
    coprocessorError = CoprocessorErrorLatch(line: line(PlatformAddresses.coprocessorErrorInterrupt))
    bus.externalInterrupts = legacyInterrupts
    for _ in 0..<configuration.boundedProcessorCount {
      let apic = bus.addLocalAPIC()
      apic.hasX2APIC = configuration.hasX2APIC
      apic.hasDeadlineTimer = configuration.hasDeadlineTimer
      apic.applyFirmwareSettings()
      add(apic)
    }
    attachInterruptControllers()
    attachTimers(configuration)
    attachControls()
    attachConfiguration(configuration)
    attachVirtioDevices(configuration)
  }

  private func attachInterruptControllers() {
    attach(legacyInterrupts.masterPorts, PlatformAddresses.masterInterruptController)
    attach(legacyInterrupts.slavePorts, PlatformAddresses.slaveInterruptController)
    attach(legacyInterrupts.edgeLevelControlPorts, PlatformAddresses.edgeLevelControl)
    _ = memory.attach(ioAPIC, at: PlatformAddresses.ioAPIC, count: PlatformAddresses.ioAPICSize)
  }

  private func attachTimers(_ configuration: BoardConfiguration) {
    let timer = IntervalTimer(time: time, line: interruptLine(PlatformAddresses.timerInterrupt))
    let clock = RealTimeClock(
      time: time, line: interruptLine(PlatformAddresses.realTimeClockInterrupt),
      start: configuration.clockStart,
      memory: ClockMemory(lowMemory: configuration.lowMemory, highMemory: configuration.highMemory),
      noteAlarm: { [unowned powerManagement] in powerManagement.noteAlarm() })
    attach(timer, PlatformAddresses.intervalTimer)
    attach(SystemControlPortB(timer: timer, time: time), PlatformAddresses.systemControlB)
    attach(clock, PlatformAddresses.realTimeClock)
    attach(powerManagement, PlatformAddresses.powerManagement)
    add(timer)
    add(clock)
    add(powerManagement)
  }

  private func attachControls() {
    let keyboard = KeyboardController(
      events: events, line: interruptLine(PlatformAddresses.keyboardInterrupt))
    attach(keyboard.dataPort, PlatformAddresses.keyboardData)
    attach(keyboard.commandPort, PlatformAddresses.keyboardCommand)
    attach(SystemControlPortA(events: events), PlatformAddresses.systemControlA)
    attach(ResetControl(events: events), PlatformAddresses.resetControl)
    attach(coprocessorError, PlatformAddresses.coprocessorError)
    attach(serial, PlatformAddresses.com1)
    attach(DebugExit(events: events), PlatformAddresses.debugExit)
  }

  private func attachConfiguration(_ configuration: BoardConfiguration) {
    let bridge = PCIConfiguration()
    attach(bridge.addressPort, PlatformAddresses.pciConfigurationAddress)
    attach(bridge.dataPorts, PlatformAddresses.pciConfigurationData)
    attach(FirmwareConfiguration(configuration), PlatformAddresses.firmwareConfiguration)
    let test = TestDevice(interrupts: interrupts)
    attach(test.data, PlatformAddresses.testData)
    attach(test.flush, PlatformAddresses.testFlush)
    attach(test.bytes, PlatformAddresses.testBytes)
    attach(test.interrupts, PlatformAddresses.testInterrupts)
    _ = memory.attach(
      test.memory, at: PlatformAddresses.testMemory, count: PlatformAddresses.testMemorySize)
  }

  private func attachVirtioDevices(_ configuration: BoardConfiguration) {
    for (slot, device) in configuration.boundedVirtioDevices.enumerated() {
      let transport = VirtioTransport(
        device, memory: configuration.memory, line: interruptLine(PlatformAddresses.virtioInterrupt(slot)))
      _ = memory.attach(
        transport, at: PlatformAddresses.virtio(slot), count: PlatformAddresses.virtioSize)
    }
  }

  // MARK: Devices

  /// Gives `device` a range of ports; false, and nothing changed, if one of them is taken.
  @discardableResult
  public func attach(_ device: any PortDevice, _ range: PlatformAddresses.Ports) -> Bool {
    ports.attach(device, at: range.first, count: range.count)
  }

  /// Lets `device` act when its deadlines come.
  public func add(_ device: any TimedDevice) { timed.append(device) }

  /// The interrupt line `number` (see ``InterruptRouter``).
  public func interruptLine(_ number: UInt8) -> InterruptLine { InterruptLine(number, of: interrupts) }

  // MARK: Memory

  /// What a load of `size` bytes (1, 2, 4 or 8) by processor `number` reads at an address that is not RAM.
  public func read(_ address: UInt64, size: UInt8, by number: Int) -> UInt64 {
    guard let apic = localAPIC(at: address, of: number) else { return memory.read(address, size: size) }
    return apic.read(offset: address & 0xFFF, size: size) & MemoryBus.allOnes(size)
  }

  /// A store of the low `size` bytes of `value` by processor `number` to an address that is not RAM.
  public func write(_ value: UInt64, to address: UInt64, size: UInt8, by number: Int) {
    guard let apic = localAPIC(at: address, of: number) else {
      memory.write(value, to: address, size: size)
      return
    }
    apic.write(value & MemoryBus.allOnes(size), offset: address & 0xFFF, size: size)
  }

  private func localAPIC(at address: UInt64, of number: Int) -> LocalAPIC? {
    guard localAPICs.indices.contains(number) else { return nil }
    let apic = localAPICs[number]
    return apic.page == address & ~0xFFF ? apic : nil
  }

  // MARK: Time

  /// The cycle at which some device acts next, or `.max`.
  public var nextDeadline: UInt64 {
    var earliest = UInt64.max
    for device in timed { earliest = min(earliest, device.deadline) }
    return earliest
  }

  /// Lets every device do what is due at `now`, in the order in which they were added.
  public func advance(to now: UInt64) {
    for device in timed where device.deadline <= now { device.advance(to: now) }
  }
}
