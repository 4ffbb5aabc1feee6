import VMX
import X86

/// What the guest finds when it starts: its image, the files that are left for it, and what a loader tells it of both.
///
/// Sources: Xen, "PVH specification"; Multiboot Specification 0.6.96, "Boot information format".
struct GuestStart {
  /// Where the structures lie in the guest's memory, below any image.
  private enum Place {
    static var startInfo: UInt64 { 0x1000 }
    static var memoryMap: UInt64 { 0x1100 }
    static var multiboot: UInt64 { 0x1200 }
    static var multibootMap: UInt64 { 0x1300 }
    static var modules: UInt64 { 0x2000 }
    static var multibootModules: UInt64 { 0x3000 }
    static var texts: UInt64 { 0x4000 }
    static var textsEnd: UInt64 { 0x1_0000 }
  }

  private static var startInfoMagic: UInt32 { 0x336E_C578 }
  private static var multibootMagic: UInt64 { 0x2BAD_B002 }
  private static var greatestModuleCount: UInt64 { 128 }

  /// The guest's RIP.
  let entry: UInt64
  private let isMultiboot: Bool
  private let memory: CarriedMemory
  /// Where the next text goes, and the end of what modules may take.
  private var text = Place.texts
  private var end: UInt64

  /// The guest's RAX and RBX.
  var rax: UInt64 { isMultiboot ? Self.multibootMagic : 0 }
  var rbx: UInt64 { isMultiboot ? Place.multiboot : Place.startInfo }

  /// Puts the first of the machine's modules into `memory` as the image, and the others as its modules.
  init(_ machine: LoaderInformation, in memory: CarriedMemory) {
    guard machine.moduleCount > 0 else {
      fail("there is nothing to carry: give the guest's image as the first module")
    }
    guard machine.moduleCount <= Self.greatestModuleCount else { fail("there are too many modules") }
    memory.clear(Place.startInfo..<Place.textsEnd)
    let image = GuestImage(machine.module(0))
    image.load(into: memory)
    let entry = image.entry
    self.entry = entry.address
    isMultiboot = entry.by == .multiboot
    self.memory = memory
    end = memory.size
    let commandLine = place(image.file.text)
    for index in 1..<machine.moduleCount { place(machine.module(index), at: index &- 1) }
    writeStartInfo(commandLine, moduleCount: machine.moduleCount &- 1)
    writeMultiboot(commandLine, moduleCount: machine.moduleCount &- 1)
  }

  private func writeStartInfo(_ commandLine: UInt64, moduleCount: UInt64) {
    memory.store(Self.startInfoMagic, at: Place.startInfo)
    memory.store(1 as UInt32, at: Place.startInfo &+ 4)
    memory.store(UInt32(truncatingIfNeeded: moduleCount), at: Place.startInfo &+ 12)
    memory.store(Place.modules, at: Place.startInfo &+ 16)
    memory.store(commandLine, at: Place.startInfo &+ 24)
    memory.store(Place.memoryMap, at: Place.startInfo &+ 40)
    memory.store(1 as UInt32, at: Place.startInfo &+ 48)
    writeRangeOfRAM(at: Place.memoryMap)
  }

  private func writeMultiboot(_ commandLine: UInt64, moduleCount: UInt64) {
    let hasMemory: UInt32 = 1 << 0
    let hasCommandLine: UInt32 = 1 << 2
    let hasModules: UInt32 = 1 << 3
    let hasMap: UInt32 = 1 << 6
    let information = Place.multiboot
    memory.store(hasMemory | hasCommandLine | hasModules | hasMap, at: information)
    memory.store(640 as UInt32, at: information &+ 4)
    memory.store(UInt32(truncatingIfNeeded: memory.size >> 10 &- 1024), at: information &+ 8)
    memory.store(UInt32(truncatingIfNeeded: commandLine), at: information &+ 16)
    memory.store(UInt32(truncatingIfNeeded: moduleCount), at: information &+ 20)
    memory.store(UInt32(truncatingIfNeeded: Place.multibootModules), at: information &+ 24)
    memory.store(24 as UInt32, at: information &+ 44)
    memory.store(UInt32(truncatingIfNeeded: Place.multibootMap), at: information &+ 48)
    // An entry begins with the number of bytes behind that number.
    memory.store(20 as UInt32, at: Place.multibootMap)
    writeRangeOfRAM(at: Place.multibootMap &+ 4)
  }

  /// Start, size and kind: the one range of RAM, from 0 on.
  private func writeRangeOfRAM(at address: UInt64) {
    memory.store(memory.size, at: address &+ 8)
    memory.store(1 as UInt32, at: address &+ 16)
  }

  /// Copies a module to the end of what is left of the guest's memory.
  private mutating func place(_ module: LoaderInformation.Module, at index: UInt64) {
    guard module.size <= end / 2 else { fail("the modules do not fit into the guest's memory") }
    end = (end &- module.size) & ~0xFFF
    memory.copy(from: module.address, module.size, to: end)
    let text = place(module.text)
    let entry = Place.modules &+ index &* 32
    memory.store(end, at: entry)
    memory.store(module.size, at: entry &+ 8)
    memory.store(text, at: entry &+ 16)
    let forMultiboot = Place.multibootModules &+ index &* 16
    memory.store(UInt32(truncatingIfNeeded: end), at: forMultiboot)
    memory.store(UInt32(truncatingIfNeeded: end &+ module.size), at: forMultiboot &+ 4)
    memory.store(UInt32(truncatingIfNeeded: text), at: forMultiboot &+ 8)
  }

  /// Copies a text, and gives its address in the guest's memory; without one, that of an empty text.
  private mutating func place(_ text: UnsafePointer<UInt8>?) -> UInt64 {
    let size = (text?.textLength ?? 0) &+ 1
    guard size <= Place.textsEnd &- self.text else { fail("the texts of the modules are too long") }
    defer { self.text &+= size }
    if let text { memory.copy(from: UInt64(UInt(bitPattern: text)), size, to: self.text) }
    return self.text
  }
}
