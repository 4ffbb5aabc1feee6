/// The boot parameters of the Linux kernel, its "zero page": the setup header as the loader fills it in, and the
/// description of the machine.
///
/// Source: the Linux kernel's documentation, "Zero Page", "The Linux/x86 Boot Protocol".
struct LinuxParameters {
  private enum Offset {
    static let rootPointer: UInt64 = 0x070
    static let memoryMapCount: UInt64 = 0x1E8
    static let memoryMap: UInt64 = 0x2D0
    static let memoryMapEntrySize: UInt64 = 20
  }

  static let size: UInt64 = 4096
  /// type_of_loader of a boot loader without a number of its own.
  private static let unknownLoader: UInt8 = 0xFF
  /// The protocol version told to a kernel whose image has no setup header: 2.15.
  private static let currentVersion: UInt16 = 0x020F

  private(set) var page: MemoryImage

  /// The parameters at `address`, of a kernel with the setup header of `image`, or of an ELF kernel, which has none.
  init(at address: UInt64, image: LinuxImage?) {
    page = MemoryImage(address..<address + Self.size)
    if let image {
      put(image.header, at: LinuxImage.Offset.header)
    } else {
      put(LinuxImage.bootFlag, at: LinuxImage.Offset.bootFlag)
      put(LinuxImage.magic, at: LinuxImage.Offset.magic)
      put(Self.currentVersion, at: LinuxImage.Offset.version)
      put(LinuxImage.loadedHigh, at: LinuxImage.Offset.loadFlags)
    }
    put(Self.unknownLoader, at: LinuxImage.Offset.loaderType)
  }

  private mutating func put<T: FixedWidthInteger>(_ value: T, at offset: UInt64) {
    page.put(value, at: page.range.lowerBound + offset)
  }

  private mutating func put(_ bytes: [UInt8], at offset: UInt64) {
    page.put(bytes, at: page.range.lowerBound + offset)
  }

  /// Tells where the command line is.
  mutating func setCommandLine(_ address: UInt64) {
    put(UInt32(truncatingIfNeeded: address), at: LinuxImage.Offset.commandLine)
  }

  /// Tells where the initial RAM disk is: below 4 GByte.
  mutating func setInitrd(_ initrd: PlacedModule) {
    put(UInt32(truncatingIfNeeded: initrd.address), at: LinuxImage.Offset.initrdAddress)
    put(UInt32(truncatingIfNeeded: initrd.size), at: LinuxImage.Offset.initrdSize)
  }

  /// Tells where the kernel was loaded.
  mutating func setLoadAddress(_ address: UInt64) {
    put(UInt32(truncatingIfNeeded: address), at: LinuxImage.Offset.code32Start)
  }

  /// Tells where ACPI's root pointer is.
  mutating func setRootPointer(_ address: UInt64) { put(address, at: Offset.rootPointer) }

  mutating func setMemoryMap(_ map: [MachineLayout.MapEntry]) {
    put(UInt8(truncatingIfNeeded: map.count), at: Offset.memoryMapCount)
    for (index, entry) in map.enumerated() {
      let place = Offset.memoryMap + UInt64(index) * Offset.memoryMapEntrySize
      put(entry.start, at: place)
      put(entry.size, at: place + 8)
      put(entry.use.rawValue, at: place + 16)
    }
  }
}
