import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why a disk image cannot be used. Each is one sentence that names the file.
public enum DiskError: Error, Equatable, CustomStringConvertible {
  /// The host refused; the value is its errno.
  case refused(path: String, errno: Int32)
  case notADisk(path: String)
  case tooSmall(path: String, bytes: UInt64)
  case inUse(path: String)

  public var description: String {
    switch self {
    case .refused(let path, let errno): "disk image \(path): \(String(cString: strerror(errno)))"
    case .notADisk(let path): "disk image \(path) is neither a file nor a block device"
    case .tooSmall(let path, let bytes):
      "disk image \(path) has \(bytes) bytes: expected at least one sector of 512"
    case .inUse(let path):
      "disk image \(path) is in use by another machine: end that one, or open the image readonly in both"
    }
  }
}

/// A raw disk image, or a block device of the host. While a machine may write to it, no other can open it.
///
/// When the host fails an access, or the image has vanished, the guest is told of an input/output error, and ``failure``
/// says what happened first. Bytes beyond the last whole sector are not part of the disk.
public final class DiskFile: BlockStorage, Sendable {
  private static let sectorSize: UInt64 = 512

  private let path: String
  private let file: Int32
  private let isRegular: Bool
  public let sectorCount: UInt64
  public let isReadOnly: Bool
  private let firstFailure = Mutex<String?>(nil)

  public init(path: String, isReadOnly: Bool = false) throws(DiskError) {
    let file = open(path, (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC)
    guard file >= 0 else { throw .refused(path: path, errno: errno) }
    do throws(DiskError) {
      (sectorCount, isRegular) = try Self.examine(file, path, isReadOnly)
    } catch {
      close(file)
      throw error
    }
    self.path = path
    self.file = file
    self.isReadOnly = isReadOnly
  }

  deinit { close(file) }

  /// The number of whole sectors, and whether it is a regular file. Locks it.
  private static func examine(
    _ file: Int32, _ path: String, _ isReadOnly: Bool
  ) throws(DiskError) -> (sectors: UInt64, isRegular: Bool) {
    var status = stat()
    guard fstat(file, &status) == 0 else { throw .refused(path: path, errno: errno) }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG || kind == S_IFBLK else { throw .notADisk(path: path) }
    guard flock(file, (isReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else { throw .inUse(path: path) }
    let end = lseek(file, 0, SEEK_END)
    guard end >= 0 else { throw .refused(path: path, errno: errno) }
    guard UInt64(end) >= sectorSize else { throw .tooSmall(path: path, bytes: UInt64(end)) }
    return (UInt64(end) / sectorSize, kind == S_IFREG)
  }

  /// The end of the path, as a guest's disk serial number.
  public var identity: String {
    String(decoding: (path.split(separator: "/").last ?? "disk").utf8.prefix(20), as: UTF8.self)
  }

  /// What the host failed first, in a sentence; nil as long as it failed nothing.
  public var failure: String? { firstFailure.withLock { $0 } }

  private func fail(_ reason: String) -> Bool {
    firstFailure.withLock { if $0 == nil { $0 = "disk image \(path): \(reason)" } }
    return false
  }

  private func failShorter() -> Bool {
    fail("it became shorter during the run; the guest saw input/output errors from then on")
  }

  private func failSystem(_ action: String, _ number: Int32) -> Bool {
    fail("\(action) failed: \(String(cString: strerror(number))); the guest saw input/output errors")
  }

  /// Whether what is written to the file can be found again: a file without a name is lost at the machine's end, and one
  /// that was cut has lost what the guest wrote before.
  private func isWhole() -> Bool {
    guard isRegular else { return true }
    var status = stat()
    guard fstat(file, &status) == 0 else { return failSystem("examining it", errno) }
    if status.st_nlink == 0 {
      return fail("it was deleted during the run; the guest saw input/output errors from then on")
    }
    return UInt64(status.st_size) / Self.sectorSize >= sectorCount || failShorter()
  }

  // MARK: Sectors

  public func read(_ sector: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard let start = offset(of: sector, count: target.count), let base = target.baseAddress else {
      return target.isEmpty
    }
    var done = 0
    while done < target.count {
      let count = pread(file, base + done, target.count - done, start + off_t(done))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return failSystem("a read", errno) }
      guard count > 0 else { return failShorter() }
      done += count
    }
    return true
  }

  public func write(_ source: UnsafeRawBufferPointer, to sector: UInt64) -> Bool {
    guard !isReadOnly, let start = offset(of: sector, count: source.count), let base = source.baseAddress
    else {
      return source.isEmpty && !isReadOnly
    }
    guard isWhole() else { return false }
    var done = 0
    while done < source.count {
      let count = pwrite(file, base + done, source.count - done, start + off_t(done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return failSystem("a write", count < 0 ? errno : ENOSPC) }
      done += count
    }
    return true
  }

  public func flush() -> Bool {
    if isReadOnly { return true }
    guard isWhole() else { return false }
    while fdatasync(file) != 0 {
      guard errno == EINTR else { return failSystem("writing it back", errno) }
    }
    return true
  }

  /// Where `count` bytes from `sector` begin in the file, or nil unless all are of the disk.
  private func offset(of sector: UInt64, count: Int) -> off_t? {
    guard sector <= sectorCount, UInt64(count) <= (sectorCount - sector) &* Self.sectorSize else {
      return nil
    }
    return off_t(sector &* Self.sectorSize)
  }
}
