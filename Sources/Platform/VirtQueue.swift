/// Why a virtqueue cannot go on: the driver broke the protocol.
public enum VirtioFault: Error {
  /// A ring, a descriptor table or a buffer is not in RAM.
  case notMemory
  /// An index beyond the queue, a chain that loops or has its parts in the wrong order, or a nested indirect table.
  case malformedChain
}

/// A split virtqueue, as the device sees it. Whatever the driver put there is checked before it is used.
///
/// Source: Virtual I/O Device (VIRTIO) 1.2, "Split Virtqueues".
public struct VirtQueue {
  /// The greatest number of descriptors.
  static let sizeLimit: UInt16 = 256

  private struct Flags: OptionSet {
    let rawValue: UInt16

    static let next = Self(rawValue: 1)
    static let write = Self(rawValue: 2)
    static let indirect = Self(rawValue: 4)
  }

  private static let descriptorSize: UInt64 = 16
  private static let noInterrupt: UInt16 = 1

  let memory: any DeviceMemory
  /// The number of descriptors: a power of 2, at most ``sizeLimit``.
  var size = Self.sizeLimit
  var isReady = false
  var descriptorTable: UInt64 = 0
  var driverArea: UInt64 = 0
  var deviceArea: UInt64 = 0
  /// Whether the driver may put a chain into a table of its own.
  var allowsIndirect = false
  private var nextAvailable: UInt16 = 0
  private var nextUsed: UInt16 = 0
  /// How many chains were given back since the last reset, modulo 2^16.
  var completedCount: UInt16 { nextUsed }

  init(memory: any DeviceMemory) { self.memory = memory }

  /// Forgets everything, as a reset of the device does.
  mutating func reset() { self = VirtQueue(memory: memory) }

  /// Takes the next chain that the driver has made available, or nil if there is none.
  mutating func next() throws(VirtioFault) -> VirtioRequest? {
    guard let index = memory.load(driverArea &+ 2, as: UInt16.self) else { throw .notMemory }
    let waiting = index &- nextAvailable
    guard waiting > 0 else { return nil }
    guard waiting <= size else { throw .malformedChain }
    let slot = UInt64(nextAvailable & (size &- 1))
    guard let head = memory.load(driverArea &+ 4 &+ slot &* 2, as: UInt16.self) else { throw .notMemory }
    let request = try chain(from: head)
    nextAvailable &+= 1
    return request
  }

  /// Whether the driver has made a chain available that was not taken.
  var hasBuffers: Bool {
    memory.load(driverArea &+ 2, as: UInt16.self).map { $0 != nextAvailable } ?? false
  }

  /// Gives `request` back, `written` bytes of whose buffers were filled.
  mutating func complete(_ request: VirtioRequest) throws(VirtioFault) {
    let entry = deviceArea &+ 4 &+ UInt64(nextUsed & (size &- 1)) &* 8
    nextUsed &+= 1
    guard memory.store(UInt32(request.head), at: entry),
      memory.store(UInt32(truncatingIfNeeded: request.writtenCount), at: entry &+ 4),
      memory.store(nextUsed, at: deviceArea &+ 2)
    else { throw .notMemory }
  }

  /// Whether the driver wants to be told of what was given back.
  var wantsInterrupt: Bool {
    (memory.load(driverArea, as: UInt16.self) ?? 0) & Self.noInterrupt == 0
  }

  // MARK: Chains

  private struct Descriptor {
    var address: UInt64
    var count: UInt32
    var flags: Flags
    var next: UInt16
  }

  private func descriptor(_ index: UInt16, in table: UInt64) throws(VirtioFault) -> Descriptor {
    let place = table &+ UInt64(index) &* Self.descriptorSize
    guard let address = memory.load(place, as: UInt64.self),
      let count = memory.load(place &+ 8, as: UInt32.self),
      let flags = memory.load(place &+ 12, as: UInt16.self),
      let next = memory.load(place &+ 14, as: UInt16.self)
    else { throw .notMemory }
    return Descriptor(address: address, count: count, flags: Flags(rawValue: flags), next: next)
  }

  /// Follows the chain from descriptor `head`, at most as many descriptors as the queue has.
  private func chain(from head: UInt16) throws(VirtioFault) -> VirtioRequest {
    var request = VirtioRequest(head: head, memory: memory)
    guard head < size else { throw .malformedChain }
    let first = try descriptor(head, in: descriptorTable)
    guard first.flags.contains(.indirect) else {
      try follow(from: head, in: descriptorTable, count: size, &request)
      return request
    }
    let entries = UInt64(first.count) / Self.descriptorSize
    guard allowsIndirect, !first.flags.contains(.next), entries > 0,
      UInt64(first.count) % Self.descriptorSize == 0
    else { throw .malformedChain }
    try follow(from: 0, in: first.address, count: UInt16(min(entries, UInt64(UInt16.max))), &request)
    return request
  }

  private func follow(
    from first: UInt16, in table: UInt64, count: UInt16, _ request: inout VirtioRequest
  ) throws(VirtioFault) {
    var index = first
    for _ in 0..<min(count, size) {
      guard index < count else { throw .malformedChain }
      let entry = try descriptor(index, in: table)
      guard !entry.flags.contains(.indirect) else { throw .malformedChain }
      let buffer = VirtioRequest.Buffer(address: entry.address, count: UInt64(entry.count))
      guard request.add(buffer, isWritable: entry.flags.contains(.write)) else { throw .malformedChain }
      guard entry.flags.contains(.next) else { return }
      index = entry.next
    }
    throw .malformedChain
  }
}

/// One chain of buffers: bytes that the device reads, then bytes that it writes. How the driver cut them does not matter
/// (VIRTIO 1.2, "Message Framing").
public struct VirtioRequest {
  struct Buffer {
    var address: UInt64
    var count: UInt64
  }

  /// The chain's first descriptor, by which the driver knows it.
  let head: UInt16
  private let memory: any DeviceMemory
  private var readable: [Buffer] = []
  private var writable: [Buffer] = []
  private(set) var readableCount: UInt64 = 0
  private(set) var writableCount: UInt64 = 0
  /// The number of bytes written so far.
  private(set) var writtenCount: UInt64 = 0

  init(head: UInt16, memory: any DeviceMemory) {
    self.head = head
    self.memory = memory
  }

  /// Adds a buffer; false for one to read after one to write.
  fileprivate mutating func add(_ buffer: Buffer, isWritable: Bool) -> Bool {
    if isWritable {
      writable.append(buffer)
      writableCount += buffer.count
    } else {
      guard writable.isEmpty else { return false }
      readable.append(buffer)
      readableCount += buffer.count
    }
    return true
  }

  /// Takes the next `count` bytes that the driver sent; nil if there are fewer.
  mutating func read(_ count: Int) throws(VirtioFault) -> [UInt8]? {
    guard count >= 0, UInt64(count) <= readableCount else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count, let buffer = Self.take(UInt64(count - done), from: &readable) {
      let range = done..<done + Int(buffer.count)
      let isRead = bytes.withUnsafeMutableBytes {
        memory.read(buffer.address, into: UnsafeMutableRawBufferPointer(rebasing: $0[range]))
      }
      guard isRead || range.isEmpty else { throw .notMemory }
      done = range.upperBound
    }
    readableCount -= UInt64(count)
    return bytes
  }

  /// Writes `bytes` into the next of the driver's buffers; false, and nothing written, if there is no room.
  mutating func write(_ bytes: [UInt8]) throws(VirtioFault) -> Bool {
    guard UInt64(bytes.count) <= writableCount else { return false }
    var done = 0
    while done < bytes.count, let buffer = Self.take(UInt64(bytes.count - done), from: &writable) {
      let range = done..<done + Int(buffer.count)
      let isWritten = bytes.withUnsafeBytes {
        memory.write(UnsafeRawBufferPointer(rebasing: $0[range]), at: buffer.address)
      }
      guard isWritten || range.isEmpty else { throw .notMemory }
      done = range.upperBound
    }
    writableCount -= UInt64(bytes.count)
    writtenCount += UInt64(bytes.count)
    return true
  }

  /// Leaves the next `count` bytes of the driver's buffers as they are.
  mutating func skip(_ count: UInt64) {
    var rest = min(count, writableCount)
    writableCount -= rest
    while rest > 0, let buffer = Self.take(rest, from: &writable) { rest -= buffer.count }
  }

  /// Takes at most `count` bytes off the first of `buffers`.
  private static func take(_ count: UInt64, from buffers: inout [Buffer]) -> Buffer? {
    guard let first = buffers.first else { return nil }
    let part = Buffer(address: first.address, count: min(first.count, count))
    if part.count == first.count {
      buffers.removeFirst()
    } else {
      buffers[0] = Buffer(address: first.address &+ part.count, count: first.count - part.count)
    }
    return part
  }
}
