import Glibc

/// Wakes a thread that waits for it. A ring is kept until somebody waits.
final class Bell: Sendable {
  private let reader: Int32
  private let writer: Int32

  /// A bell; nil if the host has no file left.
  init?() {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return nil }
    for end in ends {
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
    (reader, writer) = (ends[0], ends[1])
  }

  deinit {
    close(reader)
    close(writer)
  }

  /// Safe in a signal handler. A full pipe has rung already.
  func ring() {
    var byte: UInt8 = 0
    _ = write(writer, &byte, 1)
  }

  /// Waits for a ring, but no longer than `limit`, to the millisecond, if there is one; false if none came.
  func wait(atMost limit: Duration?) -> Bool {
    var place = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
    guard poll(&place, 1, limit.map(Self.milliseconds) ?? -1) != 0 else { return false }
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { bytes in
      while read(reader, bytes.baseAddress, bytes.count) > 0 {}
    }
    return true
  }

  private static func milliseconds(_ duration: Duration) -> Int32 {
    let parts = max(.zero, min(duration, .seconds(3600))).components
    return Int32(parts.seconds * 1000 + (parts.attoseconds + 500_000_000_000_000) / 1_000_000_000_000_000)
  }
}
