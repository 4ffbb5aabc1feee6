import Platform

/// What a guest's driver does with one virtio device: its registers, and one queue whose rings are in memory.
final class VirtioDriver {
  static let descriptors = 0x1000
  static let available = 0x2000
  static let used = 0x3000
  /// Where buffers may be.
  static let buffers = 0x4000

  let memory = ArrayMemory(size: 1 << 18)
  let transport: VirtioTransport
  let line = CountingLine()
  private(set) var nextAvailable: UInt16 = 0

  /// A wire that counts its rises.
  final class CountingLine: InterruptController {
    var isHigh = false
    var rises = 0

    func setLine(_ number: UInt8, isHigh: Bool) {
      if isHigh && !self.isHigh { rises += 1 }
      self.isHigh = isHigh
    }
  }

  init(_ device: any VirtioDevice) {
    transport = VirtioTransport(device, memory: memory, line: InterruptLine(0, of: line))
  }

  func register(_ offset: UInt64) -> UInt32 { UInt32(transport.read(offset: offset, size: 4)) }
  func set(_ offset: UInt64, _ value: UInt32) { transport.write(UInt64(value), offset: offset, size: 4) }

  /// The initialisation that the specification prescribes, with the device's own features and these transport ones.
  func start(queue: UInt32 = 0, size: UInt32 = 8, features: UInt32 = .max, common: UInt32 = 1) {
    set(0x70, 0)
    set(0x70, 1)
    set(0x70, 3)
    set(0x14, 0)
    let offered = register(0x10)
    set(0x24, 0)
    set(0x20, offered & features)
    set(0x24, 1)
    set(0x20, common)
    set(0x70, 0xB)
    set(0x30, queue)
    set(0x38, size)
    set(0x80, UInt32(Self.descriptors))
    set(0x90, UInt32(Self.available))
    set(0xA0, UInt32(Self.used))
    set(0x44, 1)
    set(0x70, 0xF)
  }

  func descriptor(
    _ index: Int, _ address: UInt64, _ count: UInt32, flags: UInt16 = 0, next: UInt16 = 0,
    table: Int = descriptors
  ) {
    memory.set(address, at: table + index * 16)
    memory.set(count, at: table + index * 16 + 8)
    memory.set(flags, at: table + index * 16 + 12)
    memory.set(next, at: table + index * 16 + 14)
  }

  /// Makes the chain from `head` available, and notifies the device.
  func offer(_ head: UInt16, queue: UInt32 = 0, size: UInt16 = 8) {
    memory.set(head, at: Self.available + 4 + Int(nextAvailable % size) * 2)
    nextAvailable &+= 1
    memory.set(nextAvailable, at: Self.available + 2)
    set(0x50, queue)
  }

  var usedIndex: UInt16 { memory.get(Self.used + 2) }
  func usedLength(_ slot: Int) -> UInt32 { memory.get(Self.used + 8 + slot * 8) }
  func usedHead(_ slot: Int) -> UInt32 { memory.get(Self.used + 4 + slot * 8) }
  var needsReset: Bool { register(0x70) & 64 != 0 }
}

/// A disk in memory that can be told to fail.
final class ArrayDisk: BlockStorage {
  var bytes: [UInt8]
  var isReadOnly = false
  var fails = false
  var flushes = 0
  let identity = "array"

  init(sectors: Int) { bytes = (0..<sectors * 512).map { UInt8(truncatingIfNeeded: $0 / 512 + $0) } }

  var sectorCount: UInt64 { UInt64(bytes.count / 512) }

  func read(_ sector: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool {
    guard !fails else { return false }
    target.copyBytes(from: bytes[Int(sector) * 512..<Int(sector) * 512 + target.count])
    return true
  }

  func write(_ source: UnsafeRawBufferPointer, to sector: UInt64) -> Bool {
    guard !fails else { return false }
    bytes.replaceSubrange(Int(sector) * 512..<Int(sector) * 512 + source.count, with: source)
    return true
  }

  func flush() -> Bool {
    flushes += 1
    return !fails
  }
}
