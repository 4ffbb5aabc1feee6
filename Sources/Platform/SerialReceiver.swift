/// A first-in, first-out queue of bytes.
struct ByteQueue {
  /// How many bytes that were removed are kept at most.
  private static let removedLimit = 4096

  private var bytes: [UInt8] = []
  private var head = 0

  var count: Int { bytes.count - head }

  mutating func append(_ byte: UInt8) { bytes.append(byte) }

  mutating func removeFirst() -> UInt8? {
    guard head < bytes.count else { return nil }
    let byte = bytes[head]
    head += 1
    if head == bytes.count {
      removeAll()
    } else if head == Self.removedLimit {
      bytes.removeFirst(head)
      head = 0
    }
    return byte
  }

  mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    head = 0
  }
}

/// The receiving side of a 16550A: its holding register or FIFO, and the FIFO control register.
struct SerialReceiver {
  private static let enable: UInt8 = 1 << 0
  private static let reset: UInt8 = 1 << 1
  private static let depth = 16
  /// The trigger levels that FCR's bits 7:6 select.
  private static let triggers = [1, 4, 8, 14]

  private var queue = ByteQueue()
  private var trigger = 1
  private(set) var isFIFO = false
  /// LSR's OE: a byte came while there was no room.
  var hasOverrun = false

  var count: Int { queue.count }
  /// The number of bytes that it takes without an overrun.
  var room: Int { max(0, (isFIFO ? Self.depth : 1) - count) }
  var hasReachedTrigger: Bool { count >= trigger }

  /// A byte from the line. Without room, a full FIFO keeps what it has, and the holding register takes the new byte.
  mutating func put(_ byte: UInt8) {
    if room == 0 {
      hasOverrun = true
      guard !isFIFO else { return }
      queue.removeAll()
    }
    queue.append(byte)
  }

  /// RBR: the oldest byte, or 0.
  mutating func take() -> UInt8 { queue.removeFirst() ?? 0 }

  /// Writes FCR. Its other bits count only with the FIFOs enabled; switching them on or off empties them.
  mutating func setControl(_ value: UInt8) {
    let enables = value & Self.enable != 0
    if enables != isFIFO || (enables && value & Self.reset != 0) { queue.removeAll() }
    isFIFO = enables
    trigger = enables ? Self.triggers[Int(value >> 6)] : 1
  }
}
