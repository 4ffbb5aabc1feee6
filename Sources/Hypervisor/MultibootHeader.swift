/// A Multiboot 1 header.
///
/// Source: Multiboot Specification 0.6.96, "OS image format".
struct MultibootHeader: Equatable {
  static let magic: UInt32 = 0x1BAD_B002
  /// The header lies wholly in this many first bytes of the file.
  static let searchLimit: UInt64 = 8192

  /// The address fields, which say what to load without looking at the ELF headers.
  struct Addresses: Equatable {
    var header: UInt32
    var load: UInt32
    /// The end of the data, or 0 for the end of the file.
    var loadEnd: UInt32
    /// The end of the zeroed part, or 0 for none.
    var bssEnd: UInt32
    var entry: UInt32
  }

  /// Where the header is in the file.
  var offset: UInt64
  var flags: UInt32
  /// The address fields, if flags bit 16 says that they are there.
  var addresses: Addresses?

  /// What a boot loader must understand of bits 15:0: page-aligned modules, memory information.
  static let understood: UInt32 = 0x0003
  static let hasAddresses: UInt32 = 1 << 16

  /// The header of the image, or nil if it has none.
  static func find(in reader: ImageReader) throws(ImageError) -> MultibootHeader? {
    var offset: UInt64 = 0
    while offset + 12 <= min(searchLimit, reader.count) {
      if try reader.load(offset, as: UInt32.self, "a word") == magic,
        let header = try MultibootHeader(reader, at: offset)
      {
        return header
      }
      offset += 4
    }
    return nil
  }

  /// The header at `offset`, or nil if its checksum shows that it is none.
  init?(_ reader: ImageReader, at offset: UInt64) throws(ImageError) {
    let what = "the Multiboot header"
    let flags = try reader.load(offset + 4, as: UInt32.self, what)
    let checksum = try reader.load(offset + 8, as: UInt32.self, what)
    guard Self.magic &+ flags &+ checksum == 0 else { return nil }
    guard flags & 0xFFFF & ~Self.understood == 0 else {
      throw reader.error(
        "its Multiboot header at offset \(hexadecimal(offset)) demands features \(hexadecimal(UInt64(flags & 0xFFFF)))"
          + " in bits 15:0 of its flags: supported are bits 0 and 1 only")
    }
    self.offset = offset
    self.flags = flags
    guard flags & Self.hasAddresses != 0 else { return }
    addresses = Addresses(
      header: try reader.load(offset + 12, as: UInt32.self, what),
      load: try reader.load(offset + 16, as: UInt32.self, what),
      loadEnd: try reader.load(offset + 20, as: UInt32.self, what),
      bssEnd: try reader.load(offset + 24, as: UInt32.self, what),
      entry: try reader.load(offset + 28, as: UInt32.self, what))
  }

  /// What the address fields say to load.
  func segment(_ addresses: Addresses, of reader: ImageReader) throws(ImageError) -> ELFImage.Segment {
    let before = UInt64(addresses.header) &- UInt64(addresses.load)
    guard addresses.load <= addresses.header, before <= offset else {
      throw malformed(
        "load_addr \(hexadecimal(UInt64(addresses.load))) is above header_addr, or lies before the file's begin",
        reader)
    }
    let start = offset - before
    let rest = reader.count - start
    let size = addresses.loadEnd == 0 ? rest : UInt64(addresses.loadEnd) &- UInt64(addresses.load)
    guard addresses.loadEnd == 0 || addresses.loadEnd >= addresses.load else {
      throw malformed("load_end_addr \(hexadecimal(UInt64(addresses.loadEnd))) is below load_addr", reader)
    }
    guard size <= rest else {
      throw reader.truncated("the part that the Multiboot header loads", offset: start, length: size)
    }
    let zeroEnd = UInt64(max(addresses.bssEnd, addresses.load)) - UInt64(addresses.load)
    return ELFImage.Segment(
      fileOffset: start, fileSize: size, address: UInt64(addresses.load), memorySize: max(size, zeroEnd))
  }

  private func malformed(_ problem: String, _ reader: ImageReader) -> ImageError {
    reader.error("its Multiboot header at offset \(hexadecimal(offset)) is malformed: \(problem)")
  }
}
