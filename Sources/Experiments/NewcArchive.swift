/// A cpio archive in the format "newc", which Linux takes for an initial RAM disk.
///
/// Source: the Linux kernel's documentation, "initramfs buffer format". Times and owners are 0, and inode numbers count
/// from 1, so that equal entries make equal archives.
public struct NewcArchive: Sendable {
  /// The bits of st_mode that tell what an entry is.
  private enum Kind {
    static let characterDevice: UInt32 = 0o020000
    static let directory: UInt32 = 0o040000
    static let regularFile: UInt32 = 0o100000
  }

  private static let magic = "070701"
  private static let trailer = "TRAILER!!!"

  private var bytesSoFar: [UInt8] = []
  private var count: UInt32 = 0

  public init() {}

  /// Adds a directory; those that it lies in come before it.
  public mutating func add(directory path: String) {
    append(path, mode: Kind.directory | 0o755, links: 2, [])
  }

  /// Adds a file at `path` (without a leading slash) with its permissions, by default those of a program.
  public mutating func add(file path: String, permissions: UInt32 = 0o755, _ data: [UInt8]) {
    append(path, mode: Kind.regularFile | permissions, data)
  }

  public mutating func add(characterDevice path: String, major: UInt32, minor: UInt32) {
    append(path, mode: Kind.characterDevice | 0o600, device: (major, minor), [])
  }

  /// The archive with its end.
  public var bytes: [UInt8] {
    var whole = self
    whole.append(Self.trailer, mode: 0, [])
    return whole.bytesSoFar
  }

  /// A header of 13 fields of 8 hexadecimal digits, the name with a zero, and the data; name and data each end at a
  /// multiple of 4 bytes.
  private mutating func append(
    _ name: String, mode: UInt32, links: UInt32 = 1, device: (major: UInt32, minor: UInt32) = (0, 0),
    _ data: [UInt8]
  ) {
    count += 1
    let words: [UInt32] = [
      count, mode, 0, 0, links, 0, UInt32(clamping: data.count), 0, 0, device.major, device.minor,
      UInt32(name.utf8.count + 1), 0,
    ]
    bytesSoFar += Self.magic.utf8
    for word in words { bytesSoFar += Self.hexadecimal(word).utf8 }
    bytesSoFar += Array(name.utf8) + [0]
    align()
    bytesSoFar += data
    align()
  }

  private mutating func align() { while bytesSoFar.count % 4 != 0 { bytesSoFar.append(0) } }

  private static func hexadecimal(_ word: UInt32) -> String {
    let digits = String(word, radix: 16, uppercase: true)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
