import Foundation

/// An archive in the format that the Linux kernel reads as its initial RAM disk: cpio's "newc".
///
/// Source: the Linux kernel's documentation, "initramfs buffer format".
struct CPIOArchive {
  /// The type and permission bits of st_mode.
  private enum Mode {
    static let directory: UInt32 = 0o040755
    static let program: UInt32 = 0o100755
    static let characterDevice: UInt32 = 0o020600
  }

  private static let magic = "070701"
  private static let trailer = "TRAILER!!!"

  private(set) var data = Data()
  private var inodes: UInt32 = 0

  /// Adds a directory; those that it lies in come before it.
  mutating func add(directory path: String) { append(path, Mode.directory, links: 2) }

  /// Adds a file that can be executed.
  mutating func add(file path: String, _ content: Data) { append(path, Mode.program, content) }

  mutating func add(characterDevice path: String, major: UInt32, minor: UInt32) {
    append(path, Mode.characterDevice, device: (major, minor))
  }

  /// The whole archive, with the entry that ends it.
  func finished() -> Data {
    var copy = self
    copy.append(Self.trailer, 0)
    return copy.data
  }

  /// A header of 13 fields of 8 hexadecimal digits, the name with a zero, and the content; name and content each end at
  /// a multiple of 4 bytes.
  private mutating func append(
    _ name: String, _ mode: UInt32, _ content: Data = Data(), links: UInt32 = 1,
    device: (major: UInt32, minor: UInt32) = (0, 0)
  ) {
    inodes += 1
    let fields: [UInt32] = [
      inodes, mode, 0, 0, links, 0, UInt32(content.count), 0, 0, device.major, device.minor,
      UInt32(name.utf8.count + 1), 0,
    ]
    data += Data((Self.magic + fields.map(Self.digits).joined()).utf8)
    data += Data(name.utf8) + [0]
    pad()
    data += content
    pad()
  }

  private static func digits(_ value: UInt32) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  private mutating func pad() { data += Data(repeating: 0, count: -data.count & 3) }
}
