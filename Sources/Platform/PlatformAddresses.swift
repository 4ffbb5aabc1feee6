/// Where the devices of the machine are: I/O ports, L1-physical addresses, interrupt lines and rates. Whatever describes
/// the machine (ACPI tables, CPUID, boot information) takes them from here.
///
/// Ports and lines are those of every PC; the ACPI block is at a place of ours.
public enum PlatformAddresses {
  /// A range of I/O ports.
  public struct Ports: Equatable, Sendable {
    public let first: UInt16
    public let count: UInt16

    init(_ first: UInt16, _ count: UInt16) {
      self.first = first
      self.count = count
    }
  }

  // MARK: Ports

  public static let masterInterruptController = Ports(0x20, 2)
  public static let slaveInterruptController = Ports(0xA0, 2)
  /// The edge/level control registers of the two 8259s.
  public static let edgeLevelControl = Ports(0x4D0, 2)
  public static let intervalTimer = Ports(0x40, 4)
  /// The keyboard controller's data register.
  public static let keyboardData = Ports(0x60, 1)
  /// System control port B: the gate of the timer's channel 2, and the speaker.
  public static let systemControlB = Ports(0x61, 1)
  /// The keyboard controller's command and status register.
  public static let keyboardCommand = Ports(0x64, 1)
  public static let realTimeClock = Ports(0x70, 2)
  /// System control port A: A20 and the fast reset.
  public static let systemControlA = Ports(0x92, 1)
  /// The latch of x87 errors, and a reset of the coprocessor that does nothing.
  public static let coprocessorError = Ports(0xF0, 2)
  public static let debugExit = Ports(DebugExit.port, DebugExit.portCount)
  public static let com1 = Ports(SerialPort.com1, SerialPort.portCount)
  /// The block of ACPI's fixed hardware: the four ranges below.
  public static let powerManagement = Ports(0x600, 12)
  public static let pm1Event = Ports(0x600, 4)
  public static let pm1Control = Ports(0x604, 2)
  public static let powerManagementTimer = Ports(0x608, 4)
  /// PCI configuration address register. It claims its first port only, for it answers to 4-byte accesses alone, and the
  /// reset control register lies in its midst.
  public static let pciConfigurationAddress = Ports(0xCF8, 1)
  public static let resetControl = Ports(0xCF9, 1)
  public static let pciConfigurationData = Ports(0xCFC, 4)
  /// The firmware configuration device: selector, data, and the address of a DMA control structure.
  public static let firmwareConfiguration = Ports(0x510, 12)
  /// The test device: a register; its flush port; and the register for accesses split into bytes.
  public static let testData = Ports(0xE0, 4)
  public static let testFlush = Ports(0xE4, 4)
  public static let testBytes = Ports(0xE8, 4)
  /// The test device: one port for each interrupt line.
  public static let testInterrupts = Ports(0x2000, 24)

  // MARK: Memory

  /// Where the local APIC's page is after reset.
  public static let localAPIC: UInt64 = 0xFEE0_0000
  public static let localAPICSize: UInt64 = 0x1000
  public static let ioAPIC: UInt64 = 0xFEC0_0000
  public static let ioAPICSize: UInt64 = 0x1000

  /// What the PCI host bridge hands down.
  public static let pciMemory: ClosedRange<UInt32> = 0xC000_0000...0xFDFF_FFFF
  /// The test device's memory.
  public static let testMemory: UInt64 = 0xFF00_0000
  public static let testMemorySize: UInt64 = 0x1_0000
  /// The registers of each virtio device.
  public static let virtioSize: UInt64 = 0x1000
  /// How many virtio devices a machine can have: one for each input of the I/O APIC that no ISA line has.
  public static let virtioLimit = 8

  /// The first address of the registers of virtio device `slot`, from 0 to ``virtioLimit``.
  public static func virtio(_ slot: Int) -> UInt64 {
    0xFEB0_0000 &+ UInt64(truncatingIfNeeded: slot) &* virtioSize
  }

  /// The interrupt line of virtio device `slot`.
  public static func virtioInterrupt(_ slot: Int) -> UInt8 {
    firstPCIInterrupt &+ UInt8(truncatingIfNeeded: slot)
  }

  // MARK: Interrupts

  /// ISA interrupt lines. Each is also the global system interrupt of that number, but for ``timerInterrupt``.
  public static let timerInterrupt: UInt8 = 0
  public static let coprocessorErrorInterrupt: UInt8 = 13
  public static let keyboardInterrupt: UInt8 = 1
  public static let com1Interrupt: UInt8 = 4
  public static let realTimeClockInterrupt: UInt8 = 8
  /// ACPI's system control interrupt: level-triggered.
  public static let systemControlInterrupt: UInt8 = 9
  /// The global system interrupt, and I/O APIC input, of ISA line 0.
  public static let timerGlobalInterrupt: UInt8 = 2
  /// The identifier of the I/O APIC as the machine starts.
  public static let ioAPICIdentifier: UInt8 = 0
  /// The first global system interrupt that no ISA line has.
  public static let firstPCIInterrupt: UInt8 = 16

  // MARK: Power

  /// SLP_TYP of S5, soft off.
  public static let softOffSleepType: UInt8 = 5
  /// What the ACPI reset register (``resetControl``) takes.
  public static let resetValue: UInt8 = 0x06

  // MARK: Rates

  /// Ticks per second of the core crystal clock, which the local APIC's timer counts and CPUID leaf 15H reports.
  public static let crystalFrequency: UInt64 = 25_000_000
  /// Ticks per second of the 8254's input.
  public static let intervalTimerFrequency: UInt64 = 1_193_182
  /// Ticks per second of the ACPI power-management timer.
  public static let powerManagementTimerFrequency: UInt64 = 3_579_545
}
