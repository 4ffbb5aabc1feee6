/// A block of a trace that is whole but for its checksum, which somebody else may compute on another thread.
public struct UnsealedBlock: @unchecked Sendable {
  let bytes: UnsafeMutableRawPointer
  fileprivate(set) var count = 0

  /// Room for a block.
  public static func allocate() -> UnsealedBlock {
    UnsealedBlock(
      bytes: .allocate(byteCount: TraceFormat.blockHeaderSize + TraceFormat.payloadLimit, alignment: 8))
  }

  public func deallocate() { bytes.deallocate() }

  /// The block with its checksum.
  public func sealed() -> UnsafeRawBufferPointer {
    let head = TraceFormat.checksum(UnsafeRawBufferPointer(start: bytes, count: 40))
    let payload = UnsafeRawBufferPointer(
      start: bytes + TraceFormat.blockHeaderSize, count: count - TraceFormat.blockHeaderSize)
    bytes.storeBytes(
      of: TraceFormat.checksum(payload, seed: head).littleEndian, toByteOffset: 40, as: UInt64.self)
    return UnsafeRawBufferPointer(start: bytes, count: count)
  }
}

/// Makes a binary log of exits, block by block.
///
/// Whoever takes it gets the pieces of the file in order: blocks as they are full, and whole pieces of other kinds.
public struct TraceWriter: ~Copyable {
  private let output: (UnsafeRawBufferPointer) -> Void
  private let exchange: (UnsealedBlock) -> UnsealedBlock
  private var unsealed = UnsealedBlock.allocate()
  private var cursor: UnsafeMutableRawPointer
  private var context = TraceContext(end: 0, instructions: 0, tree: 0)
  /// The context that the block began with.
  private var base = TraceContext(end: 0, instructions: 0, tree: 0)
  private var eventsInBlock: UInt32 = 0
  /// The events appended so far.
  public private(set) var count: UInt64 = 0

  private static let payloadStart = TraceFormat.blockHeaderSize
  private static let fillLimit = TraceFormat.payloadLimit - TraceFormat.eventSizeLimit

  /// Begins the file with what it describes. `output` gets everything; the bytes are valid during the call only.
  public init(_ description: TraceDescription, output: @escaping (UnsafeRawBufferPointer) -> Void) {
    self.init(description, output: output) { block in
      output(block.sealed())
      return block
    }
  }

  /// The same, but full blocks go to `exchange`, which owns them from then on and returns an empty one. `output` gets
  /// what else there is.
  public init(
    _ description: TraceDescription, output: @escaping (UnsafeRawBufferPointer) -> Void,
    exchange: @escaping (UnsealedBlock) -> UnsealedBlock
  ) {
    self.output = output
    self.exchange = exchange
    cursor = unsealed.bytes + Self.payloadStart
    description.encoded().withUnsafeBytes(output)
  }

  deinit { unsealed.deallocate() }

  private var block: UnsafeMutableRawPointer { unsealed.bytes }

  /// Appends `events` in order; full blocks go out.
  public mutating func append(_ events: UnsafeBufferPointer<ExitEvent>) {
    for index in 0..<events.count { append(events.baseAddress.unsafelyUnwrapped + index) }
  }

  /// Appends `event`; a full block goes out.
  public mutating func append(_ event: ExitEvent) {
    withUnsafePointer(to: event) { append($0) }
  }

  /// The same for an event where it lies.
  public mutating func append(_ event: UnsafePointer<ExitEvent>) {
    var encoder = TraceEventEncoder(cursor: cursor, context: context)
    encoder.put(event)
    cursor = encoder.cursor
    context = encoder.context
    eventsInBlock &+= 1
    if cursor - block > Self.payloadStart + Self.fillLimit { flush() }
  }

  /// Hands out the block as far as it is filled, so that a reader sees every event up to now.
  public mutating func flush() {
    guard eventsInBlock > 0 else { return }
    seal(TraceFormat.eventBlock)
    count &+= UInt64(eventsInBlock)
    eventsInBlock = 0
    base = TraceContext(end: context.end, instructions: context.instructions, tree: context.tree)
    context = base
  }

  /// Appends the VMCSs at the steps of a tree, before the events that wait for their block to be full.
  public func append(_ snapshots: TreeSnapshots) {
    var encoder = SnapshotEncoder()
    for snapshot in snapshots.snapshots.prefix(2 * TreeSnapshots.stepLimit) {
      encoder.put(snapshot)
      guard encoder.bytes.count > TraceFormat.payloadLimit - SnapshotCoding.sizeLimit else { continue }
      write(encoder, tree: snapshots.tree)
      encoder = SnapshotEncoder()
    }
    if encoder.count > 0 { write(encoder, tree: snapshots.tree) }
  }

  private func write(_ encoder: SnapshotEncoder, tree: UInt64) {
    write(TraceFormat.snapshotBlock, encoder.bytes, count: encoder.count, tree: tree)
  }

  /// Hands out a block that has no events.
  private func write(_ kind: UInt32, _ payload: [UInt8], count: UInt32 = 0, tree: UInt64 = 0) {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: kind)
    bytes.append(littleEndian: UInt32(payload.count))
    bytes.append(littleEndian: count)
    bytes.append(littleEndian: UInt32(0))
    for word in [0, 0, tree] { bytes.append(littleEndian: word) }
    let head = bytes.withUnsafeBytes { TraceFormat.checksum($0) }
    bytes.append(littleEndian: payload.withUnsafeBytes { TraceFormat.checksum($0, seed: head) })
    bytes += payload
    bytes.withUnsafeBytes(output)
  }

  /// Ends the file with what the run came to.
  public mutating func finish(_ summary: TraceSummary) {
    flush()
    if let walks = summary.pageWalks {
      var payload: [UInt8] = []
      for word in walks.l1.words + walks.l2.words { payload.append(littleEndian: word) }
      write(TraceFormat.walkBlock, payload)
    }
    let sentence = summary.sentence.utf8.prefix(TraceFormat.payloadLimit / 2)
    for word in [count, summary.droppedEvents, summary.instructions, summary.cycles] {
      cursor.storeBytes(of: word.littleEndian, as: UInt64.self)
      cursor += 8
    }
    for byte in sentence {
      cursor.storeBytes(of: byte, as: UInt8.self)
      cursor += 1
    }
    seal(TraceFormat.summaryBlock)
  }

  private mutating func seal(_ kind: UInt32) {
    let size = cursor - block - Self.payloadStart
    block.storeBytes(of: kind.littleEndian, as: UInt32.self)
    block.storeBytes(of: UInt32(size).littleEndian, toByteOffset: 4, as: UInt32.self)
    block.storeBytes(of: eventsInBlock.littleEndian, toByteOffset: 8, as: UInt32.self)
    block.storeBytes(of: 0, toByteOffset: 12, as: UInt32.self)
    block.storeBytes(of: base.end.littleEndian, toByteOffset: 16, as: UInt64.self)
    block.storeBytes(of: base.instructions.littleEndian, toByteOffset: 24, as: UInt64.self)
    block.storeBytes(of: base.tree.littleEndian, toByteOffset: 32, as: UInt64.self)
    unsealed.count = Self.payloadStart + size
    unsealed = exchange(unsealed)
    cursor = block + Self.payloadStart
  }
}
