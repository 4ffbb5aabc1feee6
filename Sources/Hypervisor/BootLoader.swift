import Platform
import X86

/// Puts everything that L1 starts with into its memory: its image, the modules, and the boot information.
struct BootLoader {
  let configuration: MachineConfiguration
  let layout: MachineLayout
  let board: BoardConfiguration

  /// The modules in the order in which L1 is told of them: the initial RAM disk, the environment, the others.
  private var modules: [BootModule] {
    let environment =
      configuration.environment.isEmpty ? [] : [BootModule.environment(configuration.environment)]
    return (configuration.initrd.map { [BootModule($0)] } ?? []) + environment + configuration.modules
  }

  /// Loads everything into `ram`, which is zero before, and says how L1 starts.
  ///
  /// The firmware's tables come first: an image that is loaded over them, as one from the days before ACPI may be, wins.
  /// Throws ``ImageError`` or ``MachineError``.
  func load(to ram: L1RAM) throws -> BootPlan {
    let reader = ImageReader(image: configuration.image)
    let plan = try BootPlan(reader, by: configuration.bootProtocol, memoryEnd: layout.low.size)
    try checkModules(plan, reader)
    guard let rootPointer = ram.writeFirmwareTables(board) else {
      throw MachineError.memorySize(configuration.memorySize)
    }
    try plan.load(from: reader, to: ram)
    let placed = try loadModules(plan, to: ram)
    var information = try BootInformation(
      layout, at: plan.place, commandLine: commandLine(plan), modules: placed,
      rootPointer: rootPointer)
    try information.putLinuxParameters(plan, layout, initrd: configuration.initrd == nil ? nil : placed.first)
    guard information.write(to: ram) else { throw MachineError.memorySize(configuration.memorySize) }
    return plan
  }

  /// A Multiboot image finds its own name before its command line, as a program does in argv[0].
  private func commandLine(_ plan: BootPlan) -> String {
    guard plan.bootProtocol == .multiboot else { return configuration.commandLine }
    let name = configuration.image.fileName
    return configuration.commandLine.isEmpty ? name : name + " " + configuration.commandLine
  }

  private func checkModules(_ plan: BootPlan, _ reader: ImageReader) throws {
    let count = modules.count
    guard count <= BootInformation.moduleLimit else { throw MachineError.tooManyModules(count) }
    guard plan.bootProtocol == .linux, count > (configuration.initrd == nil ? 0 : 1) else { return }
    throw reader.error(
      "the Linux boot protocol has an initial RAM disk, and neither modules nor an environment; use --initrd and "
        + "--cmdline")
  }

  /// Multiboot's modules follow the kernel, as its loaders put them; others lie at the top of low memory, out of the way.
  private func loadModules(_ plan: BootPlan, to ram: L1RAM) throws(ImageError) -> [PlacedModule] {
    let limit = plan.linux.map { $0.initrdLimit + 1 } ?? .max
    let start = max(plan.end, MachineLayout.extendedStart)
    let end = max(start, min(layout.low.size, limit))
    var space = ModuleSpace(start..<end, isUpward: plan.bootProtocol == .multiboot)
    var placed: [PlacedModule] = []
    for module in modules {
      let size = UInt64(module.image.bytes.count)
      let free = space.end - space.start
      let address = space.take(size)
      guard let address, module.image.bytes.withUnsafeBytes({ ram.write($0, at: PhysicalAddress(address)) })
      else {
        throw doesNotFit(module, free: free, limit: limit < layout.low.size ? limit : nil)
      }
      placed.append(PlacedModule(address: address, size: size, text: module.text))
    }
    return placed
  }

  /// `limit` is where the kernel wants its initial RAM disk to end, if that and not the memory is what is too small.
  private func doesNotFit(_ module: BootModule, free: UInt64, limit: UInt64?) -> ImageError {
    let size = UInt64(module.image.bytes.count)
    let advice =
      limit.map {
        "the kernel wants it below \(hexadecimal($0)) (initrd_addr_max at offset 0x22c of its header); make it smaller"
      } ?? "give it more memory, such as --memory \(advisedMegabytes(size))M"
    return ImageError(
      image: module.image.name,
      problem: "its \(size) bytes do not fit: beside the kernel, \(free) of the machine's "
        + "\(configuration.memorySize) bytes of memory can hold it; \(advice)")
  }

  /// A memory size that holds a module of `size` bytes for certain, in MByte.
  private func advisedMegabytes(_ size: UInt64) -> UInt64 {
    let step: UInt64 = 64
    return ((configuration.memorySize + size) >> 20 + step) / step * step
  }
}

extension GuestImage {
  /// The last component of its name.
  package var fileName: String { name.split(separator: "/").last.map(String.init) ?? name }
}
