import X86

/// The way that an image is started.
public enum BootProtocol: String, CaseIterable, Sendable {
  /// The PVH note's 32-bit entry, with the address of an hvm_start_info in EBX.
  case pvh
  /// The Multiboot 1 header's 32-bit entry, with 2BADB002H in EAX and the address of the information in EBX.
  case multiboot
  /// Linux's 64-bit boot protocol, with the address of the boot parameters in RSI: of a bzImage, or of an ELF kernel
  /// that is asked for so.
  case linux
  /// The ELF entry point in 64-bit mode, with identity-mapped paging of the first 4 GByte, the address of an
  /// hvm_start_info in RDI, and that of Linux's boot parameters in RSI.
  case entry64

  /// Whether the image begins in 64-bit mode.
  var is64Bit: Bool { self == .linux || self == .entry64 }
}

/// What to put into L1's memory, and where and how to start it.
struct BootPlan: Equatable {
  var bootProtocol: BootProtocol
  var entry: UInt64
  var segments: [ELFImage.Segment]
  /// The kernel's setup header, if the image is a bzImage.
  var linux: LinuxImage?

  /// The plan for `reader`'s image in a machine whose low memory ends at `memoryEnd`: by `wanted`, or else by the first
  /// way that the image offers, in the order of ``BootProtocol``.
  init(_ reader: ImageReader, by wanted: BootProtocol? = nil, memoryEnd: UInt64) throws(ImageError) {
    if LinuxImage.isOne(reader) {
      try self.init(bzImage: reader, by: wanted, memoryEnd: memoryEnd)
    } else {
      try self.init(kernel: reader, by: wanted)
    }
  }

  private init(
    bzImage reader: ImageReader, by wanted: BootProtocol?, memoryEnd: UInt64
  ) throws(ImageError) {
    guard wanted ?? .linux == .linux else {
      throw reader.error("a bzImage, which can be started by \(BootProtocol.linux.rawValue) only")
    }
    let image = try LinuxImage(reader)
    let address = try image.address(reader, memoryEnd: memoryEnd)
    bootProtocol = .linux
    entry = LinuxImage.entry(at: address)
    segments = [image.segment(at: address)]
    linux = image
  }

  /// The plan for an ELF image, or for any image whose Multiboot header says what to load.
  private init(kernel reader: ImageReader, by wanted: BootProtocol?) throws(ImageError) {
    if let segment = try Self.multibootSegment(reader, by: wanted) {
      self.init(bootProtocol: .multiboot, entry: segment.entry, segments: [segment.loaded])
    } else {
      try self.init(ELFImage(reader), reader, by: wanted)
    }
    guard segments.contains(where: { $0.address <= entry && entry - $0.address < $0.memorySize }) else {
      throw reader.error(
        "its entry point \(hexadecimal(entry)) (\(bootProtocol.rawValue)) is in none of its segments; link it with "
          + "an entry at a physical address that it loads")
    }
  }

  private init(bootProtocol: BootProtocol, entry: UInt64, segments: [ELFImage.Segment]) {
    self.bootProtocol = bootProtocol
    self.entry = entry
    self.segments = segments
  }

  /// What the address fields of a Multiboot header say to load of an image that is no ELF file; nil if it has none.
  private static func multibootSegment(
    _ reader: ImageReader, by wanted: BootProtocol?
  ) throws(ImageError) -> (loaded: ELFImage.Segment, entry: UInt64)? {
    guard !reader.image.bytes.starts(with: ELFImage.magic), wanted ?? .multiboot == .multiboot,
      let header = try MultibootHeader.find(in: reader), let addresses = header.addresses
    else { return nil }
    return (try header.segment(addresses, of: reader), UInt64(addresses.entry))
  }

  private init(_ elf: ELFImage, _ reader: ImageReader, by wanted: BootProtocol?) throws(ImageError) {
    segments = elf.segments
    if wanted == .pvh || wanted == nil && elf.pvhEntry != nil {
      guard let pvhEntry = elf.pvhEntry else { throw reader.error("no PVH note in its PT_NOTE segments") }
      bootProtocol = .pvh
      entry = UInt64(pvhEntry)
    } else if wanted ?? .multiboot == .multiboot, let header = try MultibootHeader.find(in: reader) {
      bootProtocol = .multiboot
      entry = elf.entry
      if let addresses = header.addresses {
        segments = [try header.segment(addresses, of: reader)]
        entry = UInt64(addresses.entry)
      }
    } else {
      guard wanted != .multiboot else {
        throw reader.error("no Multiboot 1 header in its first \(MultibootHeader.searchLimit) bytes")
      }
      guard elf.is64Bit else {
        throw reader.error(
          "a 32-bit ELF file with neither a PVH note nor a Multiboot 1 header: expected one of them, or class 2 "
            + "(64-bit) at offset 4; build it for x86-64")
      }
      bootProtocol = wanted == .linux ? .linux : .entry64
      entry = elf.entry
    }
  }

  /// Where the boot information goes: to the lower place, unless the image is loaded there.
  var place: BootPlace {
    segments.contains { $0.overlaps(BootPlace.low.range) } ? .high : .low
  }

  /// The first address behind everything that the kernel is loaded into.
  var end: UInt64 { segments.reduce(0) { max($0, $1.address &+ $1.memorySize) } }
}

extension BootPlan {
  /// Copies the segments into L1's memory, which is zero before.
  func load(from reader: ImageReader, to ram: L1RAM) throws(ImageError) {
    try checkOverlaps(reader)
    for segment in segments {
      let name =
        "its segment at physical \(hexadecimal(segment.address)), \(hexadecimal(segment.memorySize)) bytes,"
      let target = PhysicalAddress<L1>(segment.address)
      guard ram.translate(target, count: segment.memorySize) != nil else {
        throw reader.error(
          "\(name) is not within the machine's \(hexadecimal(ram.low.size + ram.high.size)) bytes of memory; give it "
            + "more memory, or link it lower")
      }
      guard !segment.overlaps(place.range) else {
        throw reader.error(
          "\(name) overlaps the boot information at \(hexadecimal(place.range.lowerBound)) to "
            + "\(hexadecimal(place.range.upperBound)), and another the place where that else could be; link it at "
            + "0x100000 or above")
      }
      let start = Int(segment.fileOffset)
      let isLoaded = reader.image.bytes.withUnsafeBytes {
        ram.write(UnsafeRawBufferPointer(rebasing: $0[start..<start + Int(segment.fileSize)]), at: target)
      }
      guard isLoaded else { throw reader.error("\(name) does not fit in memory") }
    }
  }

  /// Which of two segments at one place would win is nobody's decision to make.
  private func checkOverlaps(_ reader: ImageReader) throws(ImageError) {
    let ordered = segments.sorted { $0.address < $1.address }
    for (segment, next) in zip(ordered, ordered.dropFirst())
    where next.address - segment.address < segment.memorySize {
      throw reader.error(
        "its segments at physical \(hexadecimal(segment.address)) and \(hexadecimal(next.address)) overlap: expected "
          + "the first, of \(hexadecimal(segment.memorySize)) bytes, to end before the second; link it with segments "
          + "side by side")
    }
  }
}
