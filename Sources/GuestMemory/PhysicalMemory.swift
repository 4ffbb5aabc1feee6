import X86

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why a machine's memory could not be made.
public enum MemoryError: Error, Equatable, CustomStringConvertible {
  /// The size is zero, not a multiple of 4 KByte, or above the 46 bits that this machine can address.
  case invalidSize(UInt64)
  /// The host refused the reservation; the value is its errno.
  case reservationFailed(bytes: UInt64, errno: Int32)

  public var description: String {
    switch self {
    case .invalidSize(let bytes):
      "a memory of \(bytes) bytes is not possible: expected a multiple of 4096 from 4096 up to 2^46"
    case .reservationFailed(let bytes, let errno):
      "the host refused to reserve \(bytes) bytes of memory: \(String(cString: strerror(errno)))"
    }
  }
}

/// The L0-physical memory of a machine: RAM from address 0 up to `size`, reserved at once and backed by the host
/// page by page as it is touched. Everything above is a hole.
///
/// Pages that hold decoded code are marked by the processor; a write that goes through this type's own methods
/// (a loader, a device, the nested core) records them, and the processor drops what it decoded at its next entry.
public final class PhysicalMemory: @unchecked Sendable {
  /// The first byte of RAM.
  public let base: UnsafeMutableRawPointer
  /// The size of RAM in bytes, a multiple of 4096.
  public let size: UInt64
  /// One byte per page: whether the processor holds decoded code of it.
  public let codePages: UnsafeMutablePointer<UInt8>
  /// Which pages somebody keeps a copy of.
  public let copies: PageCopies
  /// The numbers of code pages written since the processor last looked.
  public private(set) var staleCodePages: [UInt64] = []

  public init(size: UInt64) throws(MemoryError) {
    guard size > 0, size & 0xFFF == 0, size <= 1 << 46 else { throw .invalidSize(size) }
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    let mapped = mmap(nil, Int(size), PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let mapped, mapped != MAP_FAILED else { throw .reservationFailed(bytes: size, errno: errno) }
    let pages = Int(size >> 12)
    let marks = mmap(nil, 2 * pages + 8, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let marks, marks != MAP_FAILED else {
      let error = errno
      munmap(mapped, Int(size))
      throw .reservationFailed(bytes: UInt64(2 * pages + 8), errno: error)
    }
    self.base = mapped
    self.size = size
    let writes = marks.bindMemory(to: UInt64.self, capacity: 1)
    self.codePages = (marks + 8).bindMemory(to: UInt8.self, capacity: pages)
    self.copies = PageCopies(marks: codePages + pages, writes: writes)
  }

  deinit {
    munmap(base, Int(size))
    munmap(copies.writes, 2 * Int(size >> 12) + 8)
  }

  /// Whether `count` bytes from `address` are all RAM.
  @inlinable
  public func contains(_ address: PhysicalAddress<L0>, count: UInt64) -> Bool {
    address.rawValue < size && count <= size &- address.rawValue
  }

  /// The host address of `count` bytes of RAM at `address`, or nil if any of them is a hole.
  @inlinable
  public func pointer(_ address: PhysicalAddress<L0>, count: UInt64) -> UnsafeMutableRawPointer? {
    guard contains(address, count: count) else { return nil }
    return base + Int(address.rawValue)
  }

  /// The little-endian integer at `address`, or nil in a hole.
  @inlinable
  public func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ address: PhysicalAddress<L0>, as type: T.Type
  ) -> T? {
    pointer(address, count: UInt64(MemoryLayout<T>.size))?.loadUnaligned(as: T.self)
  }

  /// Stores a little-endian integer; false, and nothing stored, in a hole.
  @inlinable @discardableResult
  public func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, at address: PhysicalAddress<L0>)
    -> Bool
  {
    let count = UInt64(MemoryLayout<T>.size)
    guard let pointer = pointer(address, count: count) else { return false }
    pointer.storeBytes(of: value, as: T.self)
    noteWrite(address, count: count)
    return true
  }

  /// Copies `bytes` to `address`; false, and nothing stored, unless all of it is RAM.
  @discardableResult
  public func write(_ bytes: UnsafeRawBufferPointer, at address: PhysicalAddress<L0>) -> Bool {
    guard let pointer = pointer(address, count: UInt64(bytes.count)) else { return false }
    UnsafeMutableRawBufferPointer(start: pointer, count: bytes.count).copyMemory(from: bytes)
    noteWrite(address, count: UInt64(bytes.count))
    return true
  }

  /// Records that `count` bytes from `address` were written by something other than the processor.
  @inlinable
  public func noteWrite(_ address: PhysicalAddress<L0>, count: UInt64) {
    guard count > 0 else { return }
    for page in (address.rawValue >> 12)...((address.rawValue &+ count &- 1) >> 12)
    where codePages[Int(page)] != 0 {
      recordStaleCode(page)
    }
  }

  @usableFromInline
  func recordStaleCode(_ page: UInt64) {
    staleCodePages.append(page)
    if copies[Int(page)] == PageCopies.current { copies.noteWrite(Int(page)) }
  }

  /// Puts all of RAM, which is zero then, into the file `descriptor`, of at least ``size`` bytes, so that others can map
  /// its pages too.
  public func move(to descriptor: Int32) throws(MemoryError) {
    let mapped = mmap(
      base, Int(size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, descriptor, 0)
    guard mapped == base else { throw .reservationFailed(bytes: size, errno: errno) }
  }

  /// Returns the code pages written since the last call, and forgets them.
  public func takeStaleCodePages() -> [UInt64] {
    defer { staleCodePages.removeAll(keepingCapacity: true) }
    return staleCodePages
  }
}
