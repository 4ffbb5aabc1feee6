/// What L1 finds in its memory when it starts, beside its image: the command line, a description of the machine for
/// each boot protocol, and for a 64-bit entry a GDT and page tables.
///
/// Sources: Xen, "PVH specification" (hvm_start_info version 1, hvm_modlist_entry); Multiboot Specification 0.6.96, "Boot information
/// format".
public struct BootInformation {
  /// The greatest length of a command line in bytes, its terminating zero not counted.
  public static let commandLineLimit = 2047

  static let startInfoMagic: UInt32 = 0x336E_C578
  static let multibootMagic: UInt32 = 0x2BAD_B002
  static let loaderName: StaticString = "testudo"
  /// The greatest number of modules.
  static let moduleLimit = 64
  /// The GDT: null, 32-bit code, data, 64-bit code, and a 32-bit TSS of two words.
  static let descriptors: [UInt64] = [0, code32, data, code64, taskState, 0]
  /// The same with 64-bit code and data at the selectors 10H and 18H that Linux's boot protocol demands.
  static let linuxDescriptors: [UInt64] = [0, code32, code64, data, taskState, 0]

  private static let code32: UInt64 = 0x00CF_9B00_0000_FFFF
  private static let code64: UInt64 = 0x00AF_9B00_0000_FFFF
  private static let data: UInt64 = 0x00CF_9300_0000_FFFF
  private static let taskState: UInt64 = 0x0000_8B00_0000_0067

  let place: BootPlace
  private let commandLineLength: Int
  private let rootPointer: UInt64
  private(set) var image: MemoryImage

  /// The description of a machine with `layout`, for an image started with `commandLine` and `modules`. `rootPointer` is
  /// the address of ACPI's root pointer, or 0.
  init(
    _ layout: MachineLayout, at place: BootPlace = .low, commandLine: String, modules: [PlacedModule] = [],
    rootPointer: UInt64 = 0
  ) throws(MachineError) {
    self.place = place
    image = MemoryImage(place.range)
    let text = Array(commandLine.utf8)
    guard text.count <= Self.commandLineLimit else {
      throw .commandLineTooLong(text.count, limit: Self.commandLineLimit)
    }
    commandLineLength = text.count
    self.rootPointer = rootPointer
    image.put(text, at: place.commandLine)
    putStartInfo(layout, modules.count)
    putMultibootInformation(layout, modules.count)
    try putModules(modules)
    putMachineTables()
  }

  private mutating func put<T: FixedWidthInteger>(_ value: T, at address: UInt64) {
    image.put(value, at: address)
  }

  /// The list of modules for each protocol, and their texts, which both share.
  private mutating func putModules(_ modules: [PlacedModule]) throws(MachineError) {
    var text = place.moduleTexts
    for (index, module) in modules.enumerated() {
      let characters = Array(module.text.utf8)
      guard text + UInt64(characters.count) < place.end else {
        throw .moduleTextsTooLong(Int(place.end - place.moduleTexts) - modules.count)
      }
      let forStartInfo = place.startInfoModules + UInt64(index) * 32
      put(module.address, at: forStartInfo)
      put(module.size, at: forStartInfo + 8)
      put(text, at: forStartInfo + 16)
      let forMultiboot = place.multibootModules + UInt64(index) * 16
      put(UInt32(truncatingIfNeeded: module.address), at: forMultiboot)
      put(UInt32(truncatingIfNeeded: module.end), at: forMultiboot + 4)
      put(UInt32(text), at: forMultiboot + 8)
      image.put(characters, at: text)
      text += UInt64(characters.count) + 1
    }
  }

  /// The boot parameters of Linux, for an image started by `plan` with `initrd`.
  mutating func putLinuxParameters(
    _ plan: BootPlan, _ layout: MachineLayout, initrd: PlacedModule?
  ) throws(MachineError) {
    if let limit = plan.linux?.commandLineLimit, commandLineLength > limit {
      throw .commandLineTooLong(commandLineLength, limit: Int(limit))
    }
    var parameters = LinuxParameters(at: place.linuxParameters, image: plan.linux)
    parameters.setCommandLine(place.commandLine)
    parameters.setMemoryMap(layout.memoryMap)
    parameters.setRootPointer(rootPointer)
    if plan.linux != nil, let segment = plan.segments.first { parameters.setLoadAddress(segment.address) }
    if let initrd { parameters.setInitrd(initrd) }
    image.put(parameters.page.bytes, at: place.linuxParameters)
  }

  private mutating func putStartInfo(_ layout: MachineLayout, _ moduleCount: Int) {
    let map = layout.memoryMap
    put(Self.startInfoMagic, at: place.startInfo)
    put(UInt32(1), at: place.startInfo + 4)
    put(UInt32(moduleCount), at: place.startInfo + 12)
    put(moduleCount > 0 ? place.startInfoModules : 0, at: place.startInfo + 16)
    put(place.commandLine, at: place.startInfo + 24)
    put(rootPointer, at: place.startInfo + 32)
    put(place.startInfoMap, at: place.startInfo + 40)
    put(UInt32(map.count), at: place.startInfo + 48)
    for (index, entry) in map.enumerated() {
      let address = place.startInfoMap + UInt64(index) * 24
      put(entry.start, at: address)
      put(entry.size, at: address + 8)
      put(entry.use.rawValue, at: address + 16)
    }
  }

  private mutating func putMultibootInformation(_ layout: MachineLayout, _ moduleCount: Int) {
    let map = layout.memoryMap
    let hasMemory: UInt32 = 1 << 0
    let hasCommandLine: UInt32 = 1 << 2
    let hasModules: UInt32 = 1 << 3
    let hasMap: UInt32 = 1 << 6
    let hasLoaderName: UInt32 = 1 << 9
    put(hasMemory | hasCommandLine | hasModules | hasMap | hasLoaderName, at: place.multiboot)
    put(UInt32(MachineLayout.conventionalEnd >> 10), at: place.multiboot + 4)
    put(UInt32((layout.low.size - MachineLayout.extendedStart) >> 10), at: place.multiboot + 8)
    put(UInt32(place.commandLine), at: place.multiboot + 16)
    put(UInt32(moduleCount), at: place.multiboot + 20)
    put(UInt32(place.multibootModules), at: place.multiboot + 24)
    put(UInt32(map.count * 24), at: place.multiboot + 44)
    put(UInt32(place.multibootMap), at: place.multiboot + 48)
    put(UInt32(place.loaderName), at: place.multiboot + 64)
    image.put(Self.loaderName.withUTF8Buffer { Array($0) }, at: place.loaderName)
    for (index, entry) in map.enumerated() {
      let address = place.multibootMap + UInt64(index) * 24
      put(UInt32(20), at: address)
      put(entry.start, at: address + 4)
      put(entry.size, at: address + 12)
      put(entry.use.rawValue, at: address + 20)
    }
  }

  /// The GDT, and page tables that map the first 4 GByte to themselves by 2-MByte pages.
  private mutating func putMachineTables() {
    for (index, descriptor) in Self.descriptors.enumerated() {
      put(descriptor, at: place.gdt + UInt64(index) * 8)
    }
    for (index, descriptor) in Self.linuxDescriptors.enumerated() {
      put(descriptor, at: place.linuxGDT + UInt64(index) * 8)
    }
    let presentAndWritable: UInt64 = 0b11
    let large: UInt64 = 1 << 7
    let pointers = place.pageTables + 0x1000
    put(pointers | presentAndWritable, at: place.pageTables)
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
  func write(to ram: L1RAM) -> Bool { image.write(to: ram) }
}
