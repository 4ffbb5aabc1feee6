/// A virtio console of one port: what the guest writes goes to a sink at once, what the machine's user types waits until
/// the guest has given buffers for it.
///
/// Source: Virtual I/O Device (VIRTIO) 1.2, "Console Device".
public final class VirtioConsole: VirtioDevice {
  private static let emergencyWrite: UInt64 = 1 << 2
  private static let emergencyWriteOffset: UInt64 = 8
  private static let receiveQueue = 0
  /// The greatest number of bytes that wait to be read.
  static let inputLimit = 4096
  /// What is passed on at once.
  private static let chunk: UInt64 = 4096

  private let sink: (UInt8) -> Void
  private var input = ByteQueue()
  public private(set) var activity: UInt64 = 0
  public weak var transport: VirtioTransport?

  public init(sink: @escaping (UInt8) -> Void) { self.sink = sink }

  public var kind: VirtioKind { .console }
  public var features: UInt64 { Self.emergencyWrite }
  public var queueCount: Int { 2 }
  /// Columns, rows and ports, none of which is offered; and the emergency write register.
  public var configuration: [UInt8] { [UInt8](repeating: 0, count: 12) }

  /// The emergency write register sends a byte before the queues are set up.
  public func configure(_ value: UInt64, offset: UInt64, size: UInt8) {
    if offset == Self.emergencyWriteOffset { sink(UInt8(truncatingIfNeeded: value)) }
  }

  public func serve(_ index: Int, _ queue: inout VirtQueue) throws(VirtioFault) {
    if index == Self.receiveQueue { try fill(&queue) } else { try send(&queue) }
  }

  private func fill(_ queue: inout VirtQueue) throws(VirtioFault) {
    while input.count > 0, var request = try queue.next() {
      var bytes: [UInt8] = []
      while UInt64(bytes.count) < request.writableCount, let byte = input.removeFirst() { bytes.append(byte) }
      activity &+= UInt64(bytes.count)
      _ = try request.write(bytes)
      try queue.complete(request)
    }
  }

  private func send(_ queue: inout VirtQueue) throws(VirtioFault) {
    while var request = try queue.next() {
      var budget = Self.sendLimit
      while request.readableCount > 0, budget > 0 {
        let count = min(request.readableCount, Self.chunk, budget)
        for byte in try request.read(Int(count)) ?? [] { sink(byte) }
        activity &+= count
        budget -= count
      }
      try queue.complete(request)
    }
  }

  /// What one request sends at most, so that no driver can keep the machine busy for long; the rest is dropped.
  private static let sendLimit: UInt64 = 1 << 20
}

extension VirtioConsole: ConsolePort {
  /// The guest listens while its driver has buffers for what is typed.
  public var isListening: Bool { transport?.hasBuffers(Self.receiveQueue) ?? false }
  public var isPolledInVain: Bool { false }
  public var room: Int { isListening ? max(0, Self.inputLimit - input.count) : 0 }
  public var isDrained: Bool { input.count == 0 }

  public func receive(_ bytes: ArraySlice<UInt8>) {
    for byte in bytes.prefix(max(0, Self.inputLimit - input.count)) { input.append(byte) }
    transport?.serve(Self.receiveQueue)
  }
}
