/// What the firmware of a PC leaves in memory: the interrupt vectors of real-address mode with what they lead to, the
/// BIOS data area, and in the last 128 KByte below 1 MByte the ACPI, MP and SMBIOS tables. A loader writes ``regions`` and may hand ``rootPointer`` to the kernel, which else finds all of
/// them by searching.
public struct FirmwareTables {
  /// Bytes for L1-physical memory.
  public struct Region: Equatable, Sendable {
    public var address: UInt64
    public var bytes: [UInt8]
  }

  /// Where the tables lie: reserved in every PC's memory map.
  package static let area: Range<UInt64> = 0xE_0000..<0x10_0000
  /// Where operating systems search for SMBIOS and the MP floating pointer.
  private static let searched: UInt64 = 0xF_0000

  public private(set) var regions: [Region] = []
  /// The address of ACPI's root system description pointer.
  public private(set) var rootPointer: UInt64 = 0
  private var next = area.lowerBound

  /// The tables that describe the board of `configuration`.
  public init(_ configuration: BoardConfiguration) {
    let processorCount = configuration.boundedProcessorCount
    rootPointer = next
    let rootSize = RootPointer.size
    next += UInt64(rootSize + 15) & ~15
    let facs = place(FirmwareControl.table, alignment: 64)
    let description = SystemDescription(
      processorCount: processorCount, virtioSlots: Array(configuration.boundedVirtioDevices.indices))
    let dsdt = place(ACPITable("DSDT", revision: 2, body: description.code).bytes)
    let fadt = place(FixedDescription(facs: facs, dsdt: dsdt).table.bytes)
    let madt = place(InterruptDescription(processorCount: processorCount).table.bytes)
    let rsdt = place(RootPointer.table32([fadt, madt]).bytes)
    let xsdt = place(RootPointer.table64([fadt, madt]).bytes)
    regions.append(Region(address: rootPointer, bytes: RootPointer.pointer(rsdt: rsdt, xsdt: xsdt)))
    next = max(next, Self.searched)
    placeMultiprocessorTables(processorCount)
    placeManagementTables(configuration)
    regions.append(BIOSDataArea.region)
    regions += RealModeVectors.regions
  }

  /// Places `bytes` at the next address that is a multiple of `alignment`, a power of 2.
  private mutating func place(_ bytes: [UInt8], alignment: UInt64 = 16) -> UInt64 {
    let address = (next + alignment - 1) & ~(alignment - 1)
    regions.append(Region(address: address, bytes: bytes))
    next = address + UInt64(bytes.count)
    return address
  }

  private mutating func placeMultiprocessorTables(_ processorCount: Int) {
    let table = place(MultiprocessorTable(processorCount: processorCount).bytes)
    _ = place(MultiprocessorTable.pointer(to: table))
  }

  private mutating func placeManagementTables(_ configuration: BoardConfiguration) {
    let structures = ManagementStructures(
      processorCount: configuration.boundedProcessorCount,
      memorySize: configuration.lowMemory &+ configuration.highMemory)
    let table = place(structures.bytes)
    _ = place(structures.entryPoint(table: table))
  }
}

/// What the BIOS leaves at 400H: the ports of the serial lines and the size of conventional memory.
enum BIOSDataArea {
  private static let address: UInt64 = 0x400
  private static let conventionalKBytes: UInt16 = 640

  static var region: FirmwareTables.Region {
    var bytes = LittleEndianBytes()
    bytes.append(PlatformAddresses.com1.first)
    bytes.appendZeros(0x11)
    bytes.append(conventionalKBytes)
    return FirmwareTables.Region(address: address, bytes: bytes.bytes)
  }
}
