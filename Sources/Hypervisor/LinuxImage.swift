/// A Linux kernel image with a setup header (a bzImage), validated against the file's own size.
///
/// Source: the Linux kernel's documentation, "The Linux/x86 Boot Protocol": "The Real-Mode Kernel Header", "64-bit Boot
/// Protocol".
struct LinuxImage: Equatable {
  /// Where fields of the setup header are, in the file and in the boot parameters alike.
  enum Offset {
    static let header: UInt64 = 0x1F1
    static let setupSectors: UInt64 = 0x1F1
    static let kernelParagraphs: UInt64 = 0x1F4
    static let bootFlag: UInt64 = 0x1FE
    /// The second byte of a short jump, which ends where the header does.
    static let jumpDistance: UInt64 = 0x201
    static let magic: UInt64 = 0x202
    static let version: UInt64 = 0x206
    static let loaderType: UInt64 = 0x210
    static let loadFlags: UInt64 = 0x211
    static let code32Start: UInt64 = 0x214
    static let initrdAddress: UInt64 = 0x218
    static let initrdSize: UInt64 = 0x21C
    static let commandLine: UInt64 = 0x228
    static let initrdLimit: UInt64 = 0x22C
    static let alignment: UInt64 = 0x230
    static let extendedLoadFlags: UInt64 = 0x236
    static let commandLineSize: UInt64 = 0x238
    static let payloadOffset: UInt64 = 0x248
    static let payloadSize: UInt64 = 0x24C
    static let preferredAddress: UInt64 = 0x258
    static let initialSize: UInt64 = 0x260
    static let headerLimit: UInt64 = 0x290
  }

  /// "HdrS".
  static let magic: UInt32 = 0x5372_6448
  static let bootFlag: UInt16 = 0xAA55
  /// LOADED_HIGH: the kernel belongs at 1 MByte or above.
  static let loadedHigh: UInt8 = 1 << 0
  /// XLF_KERNEL_64: there is a 64-bit entry point.
  private static let has64BitEntry: UInt16 = 1 << 0
  /// The first version of the protocol that has `xloadflags`.
  private static let oldestVersion: UInt16 = 0x020C
  private static let sector: UInt64 = 512
  /// Where the 64-bit entry point is in the protected-mode kernel.
  private static let entryOffset: UInt64 = 0x200
  /// How a payload begins: compressed by gzip (two forms), bzip2, LZMA, xz, LZO, LZ4, Zstandard, or an ELF file.
  private static let payloadMagics: [[UInt8]] = [
    [0x1F, 0x8B], [0x1F, 0x9E], [0x42, 0x5A], [0x5D, 0x00], [0xFD, 0x37], [0x89, 0x4C], [0x02, 0x21],
    [0x28, 0xB5],
    [0x7F, 0x45],
  ]
  /// The lowest address of a kernel.
  private static let lowest: UInt64 = 0x10_0000

  /// The bytes of the setup header, from ``Offset/header`` on.
  let header: [UInt8]
  /// Where the protected-mode kernel is in the file.
  let kernelOffset: UInt64
  let kernelSize: UInt64
  let preferredAddress: UInt64
  let alignment: UInt64
  /// The memory that the kernel needs from its load address on until it knows the memory map.
  let initialSize: UInt64
  /// The last address that an initial RAM disk may have.
  let initrdLimit: UInt64
  /// The longest command line in bytes, without its terminating zero.
  let commandLineLimit: UInt64

  /// Whether the image has a setup header.
  static func isOne(_ reader: ImageReader) -> Bool {
    guard reader.has(Offset.magic, 4) else { return false }
    return (try? reader.load(Offset.magic, as: UInt32.self, "")) == magic
  }

  init(_ reader: ImageReader) throws(ImageError) {
    let what = "the setup header of the Linux kernel"
    let flag = try reader.load(Offset.bootFlag, as: UInt16.self, what)
    guard flag == Self.bootFlag else {
      throw reader.error(
        "a malformed bzImage: expected aa55 at offset 0x1fe, found \(String(flag, radix: 16)); copy or build it again"
      )
    }
    try Self.checkVersion(reader, what)
    let sectors = UInt64(try reader.load(Offset.setupSectors, as: UInt8.self, what))
    kernelOffset = ((sectors == 0 ? 4 : sectors) + 1) * Self.sector
    kernelSize = UInt64(try reader.load(Offset.kernelParagraphs, as: UInt32.self, what)) * 16
    guard kernelSize > Self.entryOffset else {
      throw reader.error(
        "a malformed bzImage: its protected-mode kernel has \(kernelSize) bytes (syssize at offset 0x1f4): expected "
          + "more than 512, where its 64-bit entry point is; copy or build it again")
    }
    guard reader.has(kernelOffset, kernelSize) else {
      throw reader.truncated("the protected-mode kernel", offset: kernelOffset, length: kernelSize)
    }
    header = try Self.header(reader, what)
    preferredAddress = try reader.load(Offset.preferredAddress, as: UInt64.self, what)
    alignment = UInt64(try reader.load(Offset.alignment, as: UInt32.self, what))
    initialSize = max(UInt64(try reader.load(Offset.initialSize, as: UInt32.self, what)), kernelSize)
    initrdLimit = UInt64(try reader.load(Offset.initrdLimit, as: UInt32.self, what))
    commandLineLimit = UInt64(try reader.load(Offset.commandLineSize, as: UInt32.self, what))
    try checkPlacement(reader)
    try checkPayload(reader, what)
  }

  private static func checkVersion(_ reader: ImageReader, _ what: String) throws(ImageError) {
    let version = try reader.load(Offset.version, as: UInt16.self, what)
    guard version >= oldestVersion else {
      throw reader.error(
        "its boot protocol is \(version >> 8).\(version & 0xFF) (offset 0x206): expected 2.12 or later; "
          + "use a 64-bit kernel from Linux 3.8 on")
    }
    let flags = try reader.load(Offset.extendedLoadFlags, as: UInt16.self, what)
    guard flags & has64BitEntry != 0 else {
      throw reader.error(
        "a kernel without a 64-bit entry point: bit 0 of xloadflags at offset 0x236 is 0; use an x86-64 kernel"
      )
    }
    let isHigh = try reader.load(Offset.loadFlags, as: UInt8.self, what) & loadedHigh != 0
    guard isHigh else {
      throw reader.error(
        "a zImage: bit 0 of loadflags at offset 0x211 is 0, which loads it below 1 MByte; build a bzImage")
    }
  }

  /// The header ends where the jump at its begin leads, and never beyond the field of the boot parameters.
  private static func header(_ reader: ImageReader, _ what: String) throws(ImageError) -> [UInt8] {
    let distance = try reader.load(Offset.jumpDistance, as: UInt8.self, what)
    let end = min(Offset.magic + UInt64(distance), Offset.headerLimit)
    guard end >= Offset.initialSize + 4 else {
      throw reader.error(
        "a malformed bzImage: its setup header ends at offset \(hexadecimal(end)), before init_size at 0x260; "
          + "copy or build it again")
    }
    guard reader.has(Offset.header, end - Offset.header) else {
      throw reader.truncated(what, offset: Offset.header, length: end - Offset.header)
    }
    return Array(reader.image.bytes[Int(Offset.header)..<Int(end)])
  }

  private func checkPlacement(_ reader: ImageReader) throws(ImageError) {
    guard alignment.nonzeroBitCount == 1, preferredAddress >= Self.lowest, preferredAddress < 1 << 32 else {
      throw reader.error(
        "a malformed bzImage: kernel_alignment \(hexadecimal(alignment)) at offset 0x230 or pref_address "
          + "\(hexadecimal(preferredAddress)) at offset 0x258: expected a power of 2, and an address from 0x100000 to "
          + "4 GByte; copy or build it again")
    }
  }

  /// The compressed kernel, if the header names one, begins as Linux's ways of compression do. Else the image's two parts
  /// are not where setup_sects says, and what would be entered is no code.
  private func checkPayload(_ reader: ImageReader, _ what: String) throws(ImageError) {
    let offset = UInt64(try reader.load(Offset.payloadOffset, as: UInt32.self, what))
    let size = UInt64(try reader.load(Offset.payloadSize, as: UInt32.self, what))
    guard size > 0 else { return }
    guard offset + size <= kernelSize else {
      throw reader.error(
        "a malformed bzImage: its payload of \(size) bytes at \(hexadecimal(offset)) ends outside of its "
          + "protected-mode kernel of \(kernelSize) bytes (offsets 0x248 and 0x1f4); copy or build it again")
    }
    let start = Int(kernelOffset + offset)
    let payload = reader.image.bytes[start..<start + Int(size)]
    guard Self.payloadMagics.contains(where: { payload.starts(with: $0) }) else {
      let found = payload.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")
      throw reader.error(
        "a malformed bzImage: its compressed kernel should begin at offset \(hexadecimal(UInt64(start))), but \(found) "
          + "is no compression of Linux; setup_sects at offset 0x1f1 may be wrong; copy or build it again")
    }
  }

  /// The address that the kernel prefers, if a machine whose low memory ends at `memoryEnd` has the memory there. One
  /// that is loaded lower moves itself there all the same ("The Real-Mode Kernel Header": pref_address).
  func address(_ reader: ImageReader, memoryEnd: UInt64) throws(ImageError) -> UInt64 {
    let end = preferredAddress + initialSize
    guard end <= memoryEnd else {
      let needed = (end + 0xF_FFFF) >> 20
      guard end <= MachineLayout.holeStart else {
        throw reader.error(
          "the kernel needs memory up to \(hexadecimal(end)) to start (pref_address and init_size at offsets 0x258 and "
            + "0x260): expected no more than \(hexadecimal(MachineLayout.holeStart)), where a PC's low memory ends; copy "
            + "or build it again")
      }
      throw reader.error(
        "the kernel needs \(needed) MByte of memory to start, the machine has \(memoryEnd >> 20) MByte; give it more, "
          + "such as --memory \(max(needed.nextPowerOf2, 64))M")
    }
    return preferredAddress
  }

  /// What to load when the kernel is put at `address`, and where it is entered.
  func segment(at address: UInt64) -> ELFImage.Segment {
    ELFImage.Segment(
      fileOffset: kernelOffset, fileSize: kernelSize, address: address, memorySize: initialSize)
  }

  static func entry(at address: UInt64) -> UInt64 { address + entryOffset }
}

extension UInt64 {
  /// The lowest power of 2 that is not below this number, for sizes that a user is advised to choose.
  fileprivate var nextPowerOf2: UInt64 {
    self <= 1 ? 1 : 1 << (UInt64(UInt64.bitWidth) - UInt64((self - 1).leadingZeroBitCount))
  }
}
