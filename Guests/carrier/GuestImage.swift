/// The image that the carrier runs: an ELF file, 32-bit or 64-bit, with a PVH note or a Multiboot 1 header.
///
/// Sources: System V ABI, "ELF Header", "Program Header" and "Note Section"; Xen, "PVH specification"; Multiboot
/// Specification 0.6.96, "OS image format".
struct GuestImage {
  /// How the image is entered, in 32-bit protected mode without paging in either case.
  enum Way {
    /// EBX is the address of an hvm_start_info.
    case pvh
    /// EAX is 2BADB002H, EBX the address of the Multiboot information.
    case multiboot
  }

  let file: LoaderInformation.Module
  private let layout: ELFLayout
  private let headers: UInt64
  private let headerSize: UInt64
  private let headerCount: UInt64

  /// Ends the run if the file is no ELF file.
  init(_ file: LoaderInformation.Module) {
    self.file = file
    let magic: UInt32 = 0x464C_457F
    guard file.size >= 64, read(file.address, UInt32.self) == magic,
      let layout = ELFLayout(fileClass: read(file.address &+ 4, UInt8.self))
    else { fail("the first module is no ELF file") }
    self.layout = layout
    let start = layout.word(file.address &+ layout.headersOffset)
    headerSize = UInt64(read(file.address &+ layout.headerSizeOffset, UInt16.self))
    headerCount = UInt64(read(file.address &+ layout.headerSizeOffset &+ 2, UInt16.self))
    headers = file.address &+ start
    guard headerSize >= layout.leastHeaderSize, start <= file.size,
      headerCount &* headerSize <= file.size &- start
    else { fail("the program headers of the first module lie outside its file") }
  }

  /// The first of the protocols that the image offers, and the address at which it is entered.
  var entry: (by: Way, address: UInt64) {
    if let address = pvhEntry { return (.pvh, address) }
    guard hasMultibootHeader else { fail("the first module has neither a PVH note nor a Multiboot 1 header") }
    return (.multiboot, layout.word(file.address &+ ELFLayout.entryOffset))
  }

  /// Copies the segments into the guest's memory, with zeros behind the file's part of each.
  func load(into memory: CarriedMemory) {
    for index in 0..<headerCount {
      let header = headers &+ index &* headerSize
      guard read(header, UInt32.self) == ELFLayout.load else { continue }
      let (offset, size) = filePiece(header)
      let target = layout.word(header &+ layout.addressOffset)
      let sizeInMemory = layout.word(header &+ layout.memorySizeOffset)
      guard size <= sizeInMemory, memory.contains(target, sizeInMemory) else {
        fail("a segment of the first module does not fit into the guest's memory")
      }
      memory.copy(from: file.address &+ offset, size, to: target)
      memory.clear(target &+ size..<target &+ sizeInMemory)
    }
  }

  /// The part of the file that a program header names; ends the run if the file does not have it.
  private func filePiece(_ header: UInt64) -> (offset: UInt64, size: UInt64) {
    let offset = layout.word(header &+ layout.offsetOffset)
    let size = layout.word(header &+ layout.fileSizeOffset)
    guard offset <= file.size, size <= file.size &- offset else {
      fail("a part of the first module lies outside its file")
    }
    return (offset, size)
  }
}

// MARK: The ways in

extension GuestImage {
  /// The address that a PVH note names, or nil.
  private var pvhEntry: UInt64? {
    for index in 0..<headerCount {
      let header = headers &+ index &* headerSize
      guard read(header, UInt32.self) == ELFLayout.note else { continue }
      let (offset, size) = filePiece(header)
      if let entry = Self.entry(inNotesAt: file.address &+ offset, size) { return entry }
    }
    return nil
  }

  /// The entry that a note "Xen" of type 18 names, among notes of `size` bytes.
  private static func entry(inNotesAt start: UInt64, _ size: UInt64) -> UInt64? {
    let physical32Entry: UInt32 = 18
    let xen: UInt32 = 0x006E_6558
    var note = start
    while note &+ 12 <= start &+ size {
      let (nameSize, descriptionSize) = (
        UInt64(read(note, UInt32.self)), UInt64(read(note &+ 4, UInt32.self))
      )
      let description = note &+ 12 &+ (nameSize &+ 3) & ~3
      let next = description &+ (descriptionSize &+ 3) & ~3
      guard next <= start &+ size else { return nil }
      if nameSize == 4, descriptionSize >= 4, read(note &+ 12, UInt32.self) == xen,
        read(note &+ 8, UInt32.self) == physical32Entry
      {
        return UInt64(read(description, UInt32.self))
      }
      note = next
    }
    return nil
  }

  private var hasMultibootHeader: Bool {
    let magic: UInt32 = 0x1BAD_B002
    let searchLimit: UInt64 = 8192
    for offset in stride(from: 0, to: min(file.size &- 12, searchLimit), by: 4) {
      let header = file.address &+ offset
      guard read(header, UInt32.self) == magic else { continue }
      if magic &+ read(header &+ 4, UInt32.self) &+ read(header &+ 8, UInt32.self) == 0 { return true }
    }
    return false
  }
}

/// Where things lie in the two classes of ELF file.
struct ELFLayout {
  static var load: UInt32 { 1 }
  static var note: UInt32 { 4 }
  static var entryOffset: UInt64 { 24 }

  private let is64Bit: Bool

  /// Nil if there is no such class.
  init?(fileClass: UInt8) {
    guard fileClass == 1 || fileClass == 2 else { return nil }
    is64Bit = fileClass == 2
  }

  var headersOffset: UInt64 { is64Bit ? 32 : 28 }
  var headerSizeOffset: UInt64 { is64Bit ? 54 : 42 }
  var leastHeaderSize: UInt64 { is64Bit ? 56 : 32 }
  var offsetOffset: UInt64 { is64Bit ? 8 : 4 }
  var addressOffset: UInt64 { is64Bit ? 24 : 12 }
  var fileSizeOffset: UInt64 { is64Bit ? 32 : 16 }
  var memorySizeOffset: UInt64 { is64Bit ? 40 : 20 }

  /// An address, an offset or a size.
  func word(_ address: UInt64) -> UInt64 {
    is64Bit ? read(address, UInt64.self) : UInt64(read(address, UInt32.self))
  }
}
