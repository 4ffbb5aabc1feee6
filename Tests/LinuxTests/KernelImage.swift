import Foundation

/// The ELF file that a bzImage carries compressed, from which debuggers and other boot loaders start a kernel.
///
/// Source: the Linux kernel's documentation, "The Linux/x86 Boot Protocol": payload_offset, payload_length.
struct KernelImage {
  private enum Offset {
    static let setupSectors = 0x1F1
    static let payloadOffset = 0x248
    static let payloadLength = 0x24C
  }

  /// The ways of compression, by the payload's first bytes.
  private static let tools: [(magic: [UInt8], program: String)] = [
    ([0x1F, 0x8B], "gzip"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd"),
    ([0x02, 0x21, 0x4C, 0x18], "lz4"),
  ]

  /// The program that decompresses the payload, or nil if it is compressed in a way that is not known.
  let program: String?
  private let payload: Data

  init(_ kernel: LinuxKernel) throws {
    let image = try Data(contentsOf: kernel.image)
    let word = { (offset: Int) in
      image[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    let start = (Int(image[Offset.setupSectors]) + 1) * 512 + word(Offset.payloadOffset)
    // The last word is the size of what it decompresses to, which the programs do not expect.
    let payload = Data(image[start..<start + word(Offset.payloadLength) - 4])
    self.payload = payload
    program = Self.tools.first { payload.starts(with: $0.magic) }?.program
  }

  /// Writes the ELF file into `folder`, by a program that is on the PATH.
  func decompress(by program: String, into folder: URL) throws -> URL {
    let packed = folder.appendingPathComponent("payload")
    try payload.write(to: packed)
    let file = folder.appendingPathComponent("vmlinux")
    try Tool.output(program, ["-dc", packed.path]).write(to: file)
    return file
  }
}
