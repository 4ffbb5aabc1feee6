import X86

/// What L1 finds in its memory when it starts, beside its image: the command line, a description of the machine for
/// each boot protocol, and for a 64-bit entry a GDT and page tables.
///
/// Sources: Xen, "PVH specification" (hvm_start_info version 1); Multiboot Specification 0.6.96, "Boot information
/// format".
public struct BootInformation {
  /// The greatest length of a command line in bytes, its terminating zero not counted.
  public static let commandLineLimit = 2047

  /// Where everything lies in L1-physical memory. An image must not load over it.
  enum Place {
    static let startInfo: UInt64 = 0x1000
    static let startInfoMap: UInt64 = 0x1100
    static let multiboot: UInt64 = 0x2000
    static let multibootMap: UInt64 = 0x2100
    static let loaderName: UInt64 = 0x2800
    static let commandLine: UInt64 = 0x3000
    static let gdt: UInt64 = 0x4000
    static let pageTables: UInt64 = 0x5000
    static let end: UInt64 = 0xB000
  }

  static let startInfoMagic: UInt32 = 0x336E_C578
  static let multibootMagic: UInt32 = 0x2BAD_B002
  static let loaderName: StaticString = "testudo"
  /// The GDT: null, 32-bit code, data, 64-bit code, and a 32-bit TSS of two words.
  static let descriptors: [UInt64] = [
    0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00AF_9B00_0000_FFFF, 0x0000_8B00_0000_0067, 0,
  ]

  /// The bytes from ``Place/startInfo`` up to ``Place/end``.
  private(set) var bytes = [UInt8](repeating: 0, count: Int(Place.end - Place.startInfo))

  /// The description of a machine with `layout`, for an image started with `commandLine`.
  init(_ layout: MachineLayout, commandLine: String) throws(MachineError) {
    let text = Array(commandLine.utf8)
    guard text.count <= Self.commandLineLimit else { throw .commandLineTooLong(text.count) }
    for (index, character) in text.enumerated() { put(character, at: Place.commandLine + UInt64(index)) }
    putStartInfo(layout)
    putMultibootInformation(layout)
    putMachineTables()
  }

  private mutating func put<T: FixedWidthInteger>(_ value: T, at address: UInt64) {
    var rest = value
    for index in 0..<MemoryLayout<T>.size {
      bytes[Int(address - Place.startInfo) + index] = UInt8(truncatingIfNeeded: rest)
      rest = T(truncatingIfNeeded: UInt64(truncatingIfNeeded: rest) >> 8)
    }
  }

  private mutating func putStartInfo(_ layout: MachineLayout) {
    let map = layout.memoryMap
    put(Self.startInfoMagic, at: Place.startInfo)
    put(UInt32(1), at: Place.startInfo + 4)
    put(Place.commandLine, at: Place.startInfo + 24)
    put(Place.startInfoMap, at: Place.startInfo + 40)
    put(UInt32(map.count), at: Place.startInfo + 48)
    for (index, entry) in map.enumerated() {
      let place = Place.startInfoMap + UInt64(index) * 24
      put(entry.start, at: place)
      put(entry.size, at: place + 8)
      put(entry.use.rawValue, at: place + 16)
    }
  }

  private mutating func putMultibootInformation(_ layout: MachineLayout) {
    let map = layout.memoryMap
    let hasMemory: UInt32 = 1 << 0
    let hasCommandLine: UInt32 = 1 << 2
    let hasMap: UInt32 = 1 << 6
    let hasLoaderName: UInt32 = 1 << 9
    put(hasMemory | hasCommandLine | hasMap | hasLoaderName, at: Place.multiboot)
    put(UInt32(MachineLayout.conventionalEnd >> 10), at: Place.multiboot + 4)
    put(UInt32((layout.low.size - MachineLayout.extendedStart) >> 10), at: Place.multiboot + 8)
    put(UInt32(Place.commandLine), at: Place.multiboot + 16)
    put(UInt32(map.count * 24), at: Place.multiboot + 44)
    put(UInt32(Place.multibootMap), at: Place.multiboot + 48)
    put(UInt32(Place.loaderName), at: Place.multiboot + 64)
    let name = Self.loaderName.withUTF8Buffer { Array($0) }
    for (index, character) in name.enumerated() { put(character, at: Place.loaderName + UInt64(index)) }
    for (index, entry) in map.enumerated() {
      let place = Place.multibootMap + UInt64(index) * 24
      put(UInt32(20), at: place)
      put(entry.start, at: place + 4)
      put(entry.size, at: place + 12)
      put(entry.use.rawValue, at: place + 20)
    }
  }

  /// The GDT, and page tables that map the first 4 GByte to themselves by 2-MByte pages.
  private mutating func putMachineTables() {
    for (index, descriptor) in Self.descriptors.enumerated() {
      put(descriptor, at: Place.gdt + UInt64(index) * 8)
    }
    let presentAndWritable: UInt64 = 0b11
    let large: UInt64 = 1 << 7
    let pointers = Place.pageTables + 0x1000
    put(pointers | presentAndWritable, at: Place.pageTables)
    for gigabyte in 0..<UInt64(4) {
      let directory = pointers + 0x1000 * (gigabyte + 1)
      put(directory | presentAndWritable, at: pointers + gigabyte * 8)
      for page in 0..<UInt64(512) {
        let address = gigabyte << 30 | page << 21
        put(address | presentAndWritable | large, at: directory + page * 8)
      }
    }
  }

  /// Copies everything into L1's memory; false if it does not fit.
  func write(to ram: L1RAM) -> Bool {
    bytes.withUnsafeBytes { ram.write($0, at: PhysicalAddress(Place.startInfo)) }
  }
}

extension BootPlan {
  /// Copies the segments into L1's memory, which is zero before.
  func load(from reader: ImageReader, to ram: L1RAM) throws(ImageError) {
    for segment in segments {
      let name =
        "its segment at physical \(hexadecimal(segment.address)), \(hexadecimal(segment.memorySize)) bytes,"
      let target = PhysicalAddress<L1>(segment.address)
      guard ram.translate(target, count: segment.memorySize) != nil else {
        throw reader.error(
          "\(name) is not within the machine's \(hexadecimal(ram.low.size + ram.high.size)) bytes of memory; give it "
            + "more memory, or link it lower")
      }
      let information = BootInformation.Place.startInfo..<BootInformation.Place.end
      guard
        segment.address >= information.upperBound
          || segment.address + segment.memorySize <= information.lowerBound
      else {
        throw reader.error(
          "\(name) overlaps the boot information at \(hexadecimal(information.lowerBound)) to "
            + "\(hexadecimal(information.upperBound)); link it at 0x100000 or above")
      }
      let start = Int(segment.fileOffset)
      let isLoaded = reader.image.bytes.withUnsafeBytes {
        ram.write(UnsafeRawBufferPointer(rebasing: $0[start..<start + Int(segment.fileSize)]), at: target)
      }
      guard isLoaded else { throw reader.error("\(name) does not fit in memory") }
    }
  }
}
