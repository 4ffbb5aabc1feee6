/// The parts of an ELF executable that booting it needs, validated against the file's own size.
///
/// Source: System V Application Binary Interface, "Object Files"; its AMD64 supplement.
struct ELFImage {
  /// A PT_LOAD segment.
  struct Segment: Equatable {
    /// Where its bytes are in the file, and how many they are.
    var fileOffset: UInt64
    var fileSize: UInt64
    /// The L1-physical address of its first byte, and its size there; what the file lacks is zero.
    var address: UInt64
    var memorySize: UInt64

    /// Whether it is loaded over any byte of `range`.
    func overlaps(_ range: Range<UInt64>) -> Bool {
      address < range.upperBound && range.lowerBound < address &+ memorySize
    }
  }

  /// Whether it is of class 64, so that its e_entry can be a 64-bit entry point.
  var is64Bit: Bool { format.fileClass == ELFFormat.elf64.fileClass }
  /// The e_entry field.
  var entry: UInt64
  var segments: [Segment] = []
  /// The entry point of the PVH note, if there is one.
  var pvhEntry: UInt32?

  private let format: ELFFormat

  static let magic: [UInt8] = [0x7F, 0x45, 0x4C, 0x46]

  private enum Header {
    static let programHeaderLimit: UInt64 = 1024
    static let executable: UInt16 = 2
    static let load: UInt32 = 1
    static let note: UInt32 = 4
  }

  init(_ reader: ImageReader) throws(ImageError) {
    format = try Self.identify(reader)
    try Self.checkKind(reader, format)
    entry = try format.word(reader, format.entry, "the ELF entry point")
    let table = try format.word(reader, format.table, "the ELF header's e_phoff")
    let size = try reader.load(format.entrySize, as: UInt16.self, "the ELF header's e_phentsize")
    let number = try reader.load(format.entryCount, as: UInt16.self, "the ELF header's e_phnum")
    guard number > 0 else {
      throw reader.error(
        "no program headers: e_phnum at offset \(hexadecimal(format.entryCount)) is 0; link it as an executable"
      )
    }
    guard size == format.programHeaderSize, number <= Header.programHeaderLimit else {
      throw reader.error(
        "its program headers are malformed: expected e_phentsize \(format.programHeaderSize) and e_phnum up to "
          + "\(Header.programHeaderLimit) at offset \(hexadecimal(format.entrySize)), found \(size) and \(number)"
      )
    }
    let length = UInt64(number) * UInt64(size)
    guard reader.has(table, length) else {
      throw reader.truncated("the program header table", offset: table, length: length)
    }
    for index in 0..<UInt64(number) { try readProgramHeader(reader, at: table + index * UInt64(size)) }
    guard !segments.isEmpty else {
      throw reader.error("nothing to load: none of its \(number) program headers is PT_LOAD with a size")
    }
  }

  private static func identify(_ reader: ImageReader) throws(ImageError) -> ELFFormat {
    guard reader.count > 0 else {
      throw reader.error("empty file: expected a kernel image; copy or build it again")
    }
    guard reader.image.bytes.starts(with: magic) else {
      let found = reader.image.bytes.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")
      throw reader.error(
        "not an ELF file: expected 7f 45 4c 46 at offset 0, found \(found); give a Linux bzImage, or an ELF image "
          + "for x86 with a Multiboot 1 header, a PVH note or a 64-bit entry")
    }
    guard reader.count >= ELFFormat.elf32.headerSize else {
      throw reader.truncated("the ELF header", offset: 0, length: ELFFormat.elf64.headerSize)
    }
    let fileClass = reader.image.bytes[4]
    guard let format = ELFFormat.of(fileClass: fileClass) else {
      throw reader.error(
        "of unknown ELF class \(fileClass): expected class 2 (64-bit) or 1 (32-bit) at offset 4; build it for x86"
      )
    }
    guard reader.count >= format.headerSize else {
      throw reader.truncated("the ELF header", offset: 0, length: format.headerSize)
    }
    guard reader.image.bytes[5] == 1 else {
      throw reader.error(
        "not little-endian: expected 1 at offset 5, found \(reader.image.bytes[5]); build it for x86-64")
    }
    return format
  }

  private static func checkKind(_ reader: ImageReader, _ format: ELFFormat) throws(ImageError) {
    let kind = try reader.load(16, as: UInt16.self, "the ELF header's e_type")
    guard kind == Header.executable else {
      throw reader.error(
        "not a static executable: expected e_type 2 (EXEC) at offset 0x10, found \(kind); link it with "
          + "-static and without -pie or -r")
    }
    let machine = try reader.load(18, as: UInt16.self, "the ELF header's e_machine")
    guard format.machines.contains(machine) else {
      let expected = format.machines.map { "\($0)" }.joined(separator: " or ")
      throw reader.error(
        "not for x86-64: expected e_machine \(expected) at offset 0x12, found \(machine); build it for x86-64"
      )
    }
  }

  private mutating func readProgramHeader(_ reader: ImageReader, at offset: UInt64) throws(ImageError) {
    let what = "a program header"
    let kind = try reader.load(offset, as: UInt32.self, what)
    guard kind == Header.load || kind == Header.note else { return }
    let segment = Segment(
      fileOffset: try format.word(reader, offset + format.fileOffset, what),
      fileSize: try format.word(reader, offset + format.fileSize, what),
      address: try format.word(reader, offset + format.physicalAddress, what),
      memorySize: try format.word(reader, offset + format.memorySize, what))
    guard reader.has(segment.fileOffset, segment.fileSize) else {
      let name = kind == Header.load ? "a PT_LOAD segment" : "a PT_NOTE segment"
      throw reader.truncated(name, offset: segment.fileOffset, length: segment.fileSize)
    }
    if kind == Header.note {
      if pvhEntry == nil { pvhEntry = try PVHNote.entry(in: segment, of: reader) }
    } else if segment.memorySize > 0 {
      guard segment.fileSize <= segment.memorySize else {
        throw reader.error(
          "the PT_LOAD segment at offset \(hexadecimal(offset)) is malformed: its p_filesz "
            + "\(hexadecimal(segment.fileSize)) is above its p_memsz \(hexadecimal(segment.memorySize))")
      }
      segments.append(segment)
    }
  }
}

/// The ELF note that names a PVH entry point.
///
/// Source: Xen, "PVH specification" (the note XEN_ELFNOTE_PHYS32_ENTRY).
enum PVHNote {
  static let type: UInt32 = 18
  static let name: [UInt8] = Array("Xen\0".utf8)

  /// The 32-bit physical entry point, or nil if the PT_NOTE `segment` has no such note.
  static func entry(
    in segment: ELFImage.Segment, of reader: ImageReader
  ) throws(ImageError) -> UInt32? {
    var offset = segment.fileOffset
    let end = segment.fileOffset + segment.fileSize
    while end - offset >= 12 {
      let nameSize = UInt64(try reader.load(offset, as: UInt32.self, "an ELF note"))
      let size = UInt64(try reader.load(offset + 4, as: UInt32.self, "an ELF note"))
      let type = try reader.load(offset + 8, as: UInt32.self, "an ELF note")
      let nameOffset = offset + 12
      let value = nameOffset + aligned(nameSize)
      let next = value + aligned(size)
      guard next <= end else { return nil }
      let noteName = reader.image.bytes[Int(nameOffset)..<Int(nameOffset + nameSize)]
      if type == Self.type, noteName.elementsEqual(name), size >= 4 {
        return try reader.load(value, as: UInt32.self, "the PVH entry point")
      }
      offset = next
    }
    return nil
  }

  private static func aligned(_ size: UInt64) -> UInt64 { (size + 3) & ~3 }
}
