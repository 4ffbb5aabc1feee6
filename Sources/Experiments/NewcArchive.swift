/// A cpio archive in the format "newc", which Linux takes for an initial RAM disk.
///
/// Source: the Linux kernel's documentation, "initramfs buffer format". Times, owners and inode numbers beyond 1 are 0,
/// so that equal files make equal archives.
public struct NewcArchive: Sendable {
  private static let magic = "070701"
  private static let trailer = "TRAILER!!!"
  /// A regular file's type in its mode.
  private static let regularFile: UInt32 = 0o100000

  private var bytesSoFar: [UInt8] = []
  private var count: UInt32 = 0

  public init() {}

  /// Adds a file at `path` (without a leading slash) with its permissions.
  public mutating func add(_ path: String, permissions: UInt32, _ data: [UInt8]) {
    append(path, mode: Self.regularFile | permissions, data)
  }

  /// The archive with its end.
  public var bytes: [UInt8] {
    var whole = self
    whole.append(Self.trailer, mode: 0, [])
    return whole.bytesSoFar
  }

  private mutating func append(_ name: String, mode: UInt32, _ data: [UInt8]) {
    count += 1
    let words: [UInt32] = [
      count, mode, 0, 0, 1, 0, UInt32(clamping: data.count), 0, 0, 0, 0, UInt32(name.utf8.count + 1), 0,
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
