/// What a loader told of the machine: memory, and the files that it has put beside the image.
///
/// Sources: Xen, "PVH specification" (hvm_start_info, hvm_modlist_entry, hvm_memmap_table_entry); Multiboot Specification
/// 0.6.96, "Boot information format".
struct LoaderInformation {
  /// A file in memory and the text that goes with it.
  struct Module {
    var address: UInt64
    var size: UInt64
    var text: UnsafePointer<UInt8>?
  }

  /// A table in memory whose entries have one size.
  private struct Entries {
    var address: UInt64 = 0
    var count: UInt64 = 0
    var size: UInt64 = 24

    var end: UInt64 { address &+ count &* size }

    func word<Value: FixedWidthInteger>(_ index: UInt64, _ offset: UInt64, _ type: Value.Type) -> Value {
      read(address &+ index &* size &+ offset, type)
    }
  }

  private var modules = Entries()
  private var ranges = Entries()
  private let isMultiboot: Bool
  private let information: UInt64

  /// Reads `startInfo`, or else `multiboot`; ends the run if there is neither.
  init(startInfo: UInt64, multiboot: UInt64) {
    isMultiboot = startInfo == 0
    information = isMultiboot ? multiboot : startInfo
    if startInfo != 0 {
      readStartInfo(startInfo)
    } else if multiboot != 0 {
      readMultiboot(multiboot)
    } else {
      fail("the loader has passed no hvm_start_info and no Multiboot information")
    }
  }

  private mutating func readStartInfo(_ address: UInt64) {
    modules = Entries(
      address: read(address &+ 16, UInt64.self), count: UInt64(read(address &+ 12, UInt32.self)), size: 32)
    // Version 0 has no memory map.
    guard read(address &+ 4, UInt32.self) >= 1 else { return }
    ranges = Entries(
      address: read(address &+ 40, UInt64.self), count: UInt64(read(address &+ 48, UInt32.self)), size: 24)
  }

  private mutating func readMultiboot(_ address: UInt64) {
    let flags = read(address, UInt32.self)
    if flags & 1 << 3 != 0 {
      modules = Entries(
        address: UInt64(read(address &+ 24, UInt32.self)), count: UInt64(read(address &+ 20, UInt32.self)),
        size: 16)
    }
    guard flags & 1 << 6 != 0 else { return }
    let length = UInt64(read(address &+ 44, UInt32.self))
    let start = UInt64(read(address &+ 48, UInt32.self))
    // Each entry begins with its own size, which is the same for all in practice.
    guard length >= 24 else { return }
    let size = UInt64(read(start, UInt32.self)) &+ 4
    ranges = Entries(address: start, count: size >= 24 ? length / size : 0, size: size)
  }

  var moduleCount: UInt64 { modules.count }

  func module(_ index: UInt64) -> Module {
    guard isMultiboot else {
      return Module(
        address: modules.word(index, 0, UInt64.self), size: modules.word(index, 8, UInt64.self),
        text: Self.text(modules.word(index, 16, UInt64.self)))
    }
    let start = UInt64(modules.word(index, 0, UInt32.self))
    return Module(
      address: start, size: UInt64(modules.word(index, 4, UInt32.self)) &- start,
      text: Self.text(UInt64(modules.word(index, 8, UInt32.self))))
  }

  private static func text(_ address: UInt64) -> UnsafePointer<UInt8>? {
    UnsafePointer(bitPattern: UInt(address))
  }

  /// Calls `body` with each range of RAM.
  func forEachRangeOfRAM(_ body: (_ start: UInt64, _ end: UInt64) -> Void) {
    let ram: UInt32 = 1
    let base: UInt64 = isMultiboot ? 4 : 0
    for index in 0..<ranges.count where ranges.word(index, base &+ 16, UInt32.self) == ram {
      let start = ranges.word(index, base, UInt64.self)
      body(start, start &+ ranges.word(index, base &+ 8, UInt64.self))
    }
  }

  /// Calls `body` with everything that the loader has put into memory: the files, and what it tells of them.
  func forEachRangeInUse(_ body: (_ start: UInt64, _ end: UInt64) -> Void) {
    let greatestSize: UInt64 = 128
    body(information, information &+ greatestSize)
    body(ranges.address, ranges.end)
    body(modules.address, modules.end)
    for index in 0..<moduleCount {
      let module = module(index)
      body(module.address, module.address &+ module.size)
      guard let text = module.text else { continue }
      let start = UInt64(UInt(bitPattern: text))
      body(start, start &+ text.textLength &+ 1)
    }
  }

  /// Whether any RAM of the machine lies in `range`.
  func hasRAM(in range: Range<UInt64>) -> Bool {
    var found = false
    forEachRangeOfRAM { start, end in
      if start < range.upperBound && end > range.lowerBound { found = true }
    }
    return found
  }
}

/// The little-endian integer at a physical address.
func read<Value: FixedWidthInteger>(_ address: UInt64, _ type: Value.Type) -> Value {
  UnsafeRawPointer(UnsafeMutableRawPointer(physical: address)).loadUnaligned(as: Value.self)
}

extension UnsafePointer<UInt8> {
  /// The number of bytes before the terminating zero.
  var textLength: UInt64 {
    var length: UInt64 = 0
    while self[Int(length)] != 0 { length &+= 1 }
    return length
  }
}
