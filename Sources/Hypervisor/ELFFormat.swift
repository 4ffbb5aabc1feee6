/// Where the fields of an ELF file's headers are: the class of the file decides.
///
/// Source: System V Application Binary Interface, "Object Files": "ELF Header", "Program Header".
struct ELFFormat {
  /// EI_CLASS.
  var fileClass: UInt8
  /// The size of an address, an offset or a size in bytes.
  var wordSize: UInt64
  var headerSize: UInt64
  /// The values of e_machine that x86 processors have in files of this class.
  var machines: [UInt16]

  // Offsets of the ELF header's fields.
  var entry: UInt64
  var table: UInt64
  var entrySize: UInt64
  var entryCount: UInt64

  // A program header's size and the offsets of its fields.
  var programHeaderSize: UInt16
  var fileOffset: UInt64
  var physicalAddress: UInt64
  var fileSize: UInt64
  var memorySize: UInt64

  private static let intel386: UInt16 = 3
  private static let amd64: UInt16 = 62

  static let elf32 = ELFFormat(
    fileClass: 1, wordSize: 4, headerSize: 52, machines: [intel386, amd64], entry: 24, table: 28,
    entrySize: 42,
    entryCount: 44, programHeaderSize: 32, fileOffset: 4, physicalAddress: 12, fileSize: 16, memorySize: 20)
  static let elf64 = ELFFormat(
    fileClass: 2, wordSize: 8, headerSize: 64, machines: [amd64], entry: 24, table: 32, entrySize: 54,
    entryCount: 56, programHeaderSize: 56, fileOffset: 8, physicalAddress: 24, fileSize: 32, memorySize: 40)

  /// The format of files whose EI_CLASS is `fileClass`.
  static func of(fileClass: UInt8) -> ELFFormat? { [elf32, elf64].first { $0.fileClass == fileClass } }

  /// The address, offset or size at `offset`.
  func word(_ reader: ImageReader, _ offset: UInt64, _ what: String) throws(ImageError) -> UInt64 {
    wordSize == 8
      ? try reader.load(offset, as: UInt64.self, what)
      : UInt64(try reader.load(offset, as: UInt32.self, what))
  }
}
