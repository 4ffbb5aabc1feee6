/// What becomes of the events of an ``ExitLog``, beside being counted.
public enum TraceMode: @unchecked Sendable {
  /// They are counted only.
  case countsOnly
  /// The first `limit` are kept in memory, the others are counted as dropped.
  case kept(limit: Int)
  /// All are written to the trace that this is the writer of; the logs of several virtual CPUs, all on one thread, to
  /// one.
  case written(UnsafeMutablePointer<TraceWriter>)
  /// All are handed over, a chunk at a time: `exchange` gets a chunk and how many events it holds, owns it from then
  /// on, and returns an empty one, allocated for ``ExitLog/chunkCapacity`` events.
  case handedOver(
    exchange: @Sendable (UnsafeMutablePointer<ExitEvent>, Int) -> UnsafeMutablePointer<ExitEvent>)

  /// All are handed to `sink`, some hundreds at a time; the buffer is valid during the call only.
  public static func streamed(sink: @escaping @Sendable (UnsafeBufferPointer<ExitEvent>) -> Void) -> TraceMode
  {
    .handedOver { chunk, count in
      sink(UnsafeBufferPointer(start: chunk, count: count))
      return chunk
    }
  }
}

/// The log of a virtual CPU's exits, owned by it and appended to only by it.
///
/// An event is appended when its handling ends, so the root of an exit tree follows the members of its tree. Counts
/// are exact whether or not events are kept.
///
/// The flow of calls: ``append(_:)`` for an exit that L0 handles at once, with ``currentTree`` as its tree;
/// ``openTree(_:)`` for an L2 exit that is reflected to L1; ``closeTree(at:finished:)`` when L2 runs again, or never
/// will; ``finish(at:)`` at the end of the run.
public struct ExitLog: ~Copyable {
  /// The events of one chunk: small enough to be in the host's cache when a sink reads it.
  public static var chunkCapacity: Int { 512 }

  /// The ordinals of each processor's L2 exits begin at its number × 2 to this power.
  @usableFromInline static var processorShift: UInt64 { 48 }

  @usableFromInline let counters = ExitCounters()
  /// The chunk being filled, or nil when events are only counted.
  @usableFromInline var chunk: UnsafeMutablePointer<ExitEvent>?
  @usableFromInline var used = 0
  @usableFromInline var full: [UnsafeMutablePointer<ExitEvent>] = []
  @usableFromInline let mode: TraceMode
  @usableFromInline let writer: UnsafeMutablePointer<TraceWriter>?
  /// How many more events may be kept.
  @usableFromInline var room: Int

  /// The L2 exit that L1 is handling.
  @usableFromInline let root: UnsafeMutablePointer<ExitEvent>
  @usableFromInline var isTreeOpen = false
  /// The exits in the open tree so far, the root included.
  @usableFromInline var treeSize: UInt64 = 0
  @usableFromInline var l2Exits: UInt64

  /// The number of events that were counted but neither kept nor streamed, for want of room.
  public var dropped: UInt64 { droppedCount }
  @usableFromInline var droppedCount: UInt64 = 0

  /// A log of the virtual CPU with the number `processor`, which keeps the trees of different ones apart.
  public init(mode: TraceMode = .countsOnly, processor: UInt8 = 0) {
    self.mode = mode
    l2Exits = UInt64(processor) << Self.processorShift
    root = .allocate(capacity: 1)
    root.initialize(to: ExitEvent(from: .l2, reason: 0, start: 0))
    if case .written(let writer) = mode { self.writer = writer } else { writer = nil }
    switch mode {
    case .countsOnly, .written:
      room = 0
      return
    case .kept(let limit): room = max(0, limit)
    case .handedOver: room = .max
    }
    chunk = .allocate(capacity: Self.chunkCapacity)
  }

  deinit {
    counters.deallocate()
    root.deallocate()
    chunk?.deallocate()
    for chunk in full { chunk.deallocate() }
  }

  /// Whether events go anywhere beside the counts.
  @inlinable
  public var isRecording: Bool { chunk != nil || writer != nil }

  /// The tree that an exit of L1 belongs to now: that of the L2 exit it is handling, or ``ExitEvent/noTree``.
  @inlinable
  public var currentTree: UInt64 { isTreeOpen ? root.pointee.tree : ExitEvent.noTree }

  /// Appends an exit that L0 has handled. The log itself numbers an exit of L2 and counts one of L1 into its tree.
  @inlinable
  public mutating func append(_ event: ExitEvent) {
    var event = event
    append(&event)
  }

  /// The same, and sets the event's tree.
  @inlinable
  public mutating func append(_ event: UnsafeMutablePointer<ExitEvent>) {
    if event.pointee.from == .l2 {
      event.pointee.tree = l2Exits
      l2Exits &+= 1
    } else if isTreeOpen {
      event.pointee.tree = root.pointee.tree
      treeSize &+= 1
    }
    emit(event)
  }

  /// Opens the tree of an L2 exit that is reflected to L1. Its `end` is set when the tree is closed.
  @inlinable
  public mutating func openTree(_ event: ExitEvent) {
    root.pointee = event
    root.pointee.tree = l2Exits
    l2Exits &+= 1
    treeSize = 1
    isTreeOpen = true
  }

  /// Closes the open tree, if there is one, at virtual time `now`: L2 runs again, or (not `finished`) never will.
  @inlinable
  public mutating func closeTree(at now: UInt64, finished: Bool) {
    guard isTreeOpen else { return }
    root.pointee.end = now
    root.pointee.isFinished = finished
    counters.countTree(root: root.pointee, hardwareExits: treeSize)
    emit(root)
    isTreeOpen = false
  }

  /// Ends the log: cuts an open tree short and hands over what a stream still holds.
  public mutating func finish(at now: UInt64) {
    closeTree(at: now, finished: false)
    guard case .handedOver(let exchange) = mode, let chunk, used > 0 else { return }
    self.chunk = exchange(chunk, used)
    used = 0
  }

  /// The counts of every kind of exit, innermost level first, then by falling count.
  public var exitCounts: [ExitCount] { counters.exitCounts }

  /// The sums over the exit trees, by root reason.
  public var treeCounts: [TreeCount] { counters.treeCounts }

  /// The events kept, in order of completion.
  public var events: [ExitEvent] {
    var events: [ExitEvent] = []
    guard case .kept = mode else { return events }
    events.reserveCapacity(full.count * Self.chunkCapacity + used)
    for chunk in full {
      events.append(contentsOf: UnsafeBufferPointer(start: chunk, count: Self.chunkCapacity))
    }
    if let chunk { events.append(contentsOf: UnsafeBufferPointer(start: chunk, count: used)) }
    return events
  }

  @inlinable
  mutating func emit(_ event: UnsafeMutablePointer<ExitEvent>) {
    counters.count(event)
    if let writer { return writer.pointee.append(UnsafePointer(event)) }
    guard let chunk else { return }
    guard room > 0 else {
      droppedCount &+= 1
      return
    }
    room &-= 1
    (chunk + used).initialize(to: event.pointee)
    used &+= 1
    if used == Self.chunkCapacity { turnChunk() }
  }

  @usableFromInline
  mutating func turnChunk() {
    guard let filled = chunk else { return }
    if case .handedOver(let exchange) = mode {
      chunk = exchange(filled, used)
    } else {
      full.append(filled)
      chunk = .allocate(capacity: Self.chunkCapacity)
    }
    used = 0
  }
}
