/// Why a file is not a trace that can be read.
public enum TraceError: Error, Equatable, CustomStringConvertible {
  case notATrace
  case unknownVersion(UInt32)
  case damagedHeader

  public var description: String {
    switch self {
    case .notATrace: "not a trace: expected a file that 'testudo run --trace FILE.trace' wrote"
    case .unknownVersion(let version):
      "a trace of version \(version): this program reads version \(TraceFormat.version); record the run again"
    case .damagedHeader: "a trace whose header is damaged: record it again"
    }
  }
}

/// How a trace ends.
public enum TraceEnding: Equatable, Sendable {
  /// With the summary of a run that came to its end.
  case complete(TraceSummary)
  /// After a whole block, but without a summary: the run did not come to its end.
  case withoutSummary
  /// Within a block, whose first byte is at `offset`.
  case cut(offset: UInt64)
  /// With a block at `offset` whose contents are not what was written.
  case damaged(offset: UInt64)

  /// What a reader should be told; nil if the trace is whole.
  public var warning: String? {
    switch self {
    case .complete: nil
    case .withoutSummary:
      "the trace has no summary: the run did not come to its end; every event written was read"
    case .cut(let offset):
      "the trace is cut in the block at byte \(offset); it was read up to there, and what followed is lost"
    case .damaged(let offset):
      "the block at byte \(offset) of the trace is damaged; it was read up to there, and what follows is left out"
    }
  }
}

/// One block of a trace.
public enum TraceBlock: Equatable, Sendable {
  case events([ExitEvent])
  /// Some snapshots of one tree, all of which precede its root.
  case snapshots(TreeSnapshots)
  /// The page walks of the whole run.
  case pageWalks(PageWalks)
}

/// Reads a binary log of exits, block by block, in bounded memory.
///
/// `source` fills the buffer that it is given as far as it can, and returns the number of bytes; fewer than asked for
/// mean the end of the file.
public struct TraceReader: ~Copyable {
  public let description: TraceDescription
  /// How the trace ends, once ``nextBlock()`` has returned nil.
  public private(set) var ending: TraceEnding?
  private let source: (UnsafeMutableRawBufferPointer) -> Int
  private let block: UnsafeMutableRawBufferPointer
  /// The bytes read so far.
  public private(set) var offset: UInt64
  private var events: [ExitEvent] = []

  /// Reads the header.
  public init(source: @escaping (UnsafeMutableRawBufferPointer) -> Int) throws(TraceError) {
    self.source = source
    var head = [UInt8](repeating: 0, count: TraceFormat.headerSize)
    guard Self.fill(&head, from: source) else { throw .notATrace }
    guard TraceFormat.magic.withUTF8Buffer({ $0.elementsEqual(head.prefix($0.count)) }) else {
      throw .notATrace
    }
    let version = Self.word32(head, 8)
    guard version == TraceFormat.version else { throw .unknownVersion(version) }
    let count = Int(Self.word32(head, 12))
    guard count <= TraceFormat.descriptionLimit else { throw .damagedHeader }
    var rest = [UInt8](repeating: 0, count: count + 8)
    guard Self.fill(&rest, from: source) else { throw .damagedHeader }
    let sum = (head + rest.prefix(count)).withUnsafeBytes { TraceFormat.checksum($0) }
    let stored = rest.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: count, as: UInt64.self) }
    guard sum == UInt64(littleEndian: stored) else { throw .damagedHeader }
    description = TraceDescription(text: String(decoding: rest.prefix(count), as: UTF8.self))
    offset = UInt64(TraceFormat.headerSize + count + 8)
    block = .allocate(byteCount: TraceFormat.blockHeaderSize + TraceFormat.payloadLimit, alignment: 8)
  }

  deinit { block.deallocate() }

  /// The events of the next block of events, in order; nil at the end, of which ``ending`` then tells.
  public mutating func nextBlock() -> [ExitEvent]? {
    while let block = next() {
      if case .events(let events) = block { return events }
    }
    return nil
  }

  /// The next block; nil at the end, of which ``ending`` then tells.
  public mutating func next() -> TraceBlock? {
    while ending == nil {
      if let block = readBlock() { return block }
    }
    return nil
  }

  /// Reads one block; nil if it is the end, or of a kind that is left out.
  private mutating func readBlock() -> TraceBlock? {
    let header = UnsafeMutableRawBufferPointer(rebasing: block[..<TraceFormat.blockHeaderSize])
    let got = source(header)
    guard got == header.count else {
      ending = got == 0 ? .withoutSummary : .cut(offset: offset)
      return nil
    }
    let size = Int(UInt32(littleEndian: header.load(fromByteOffset: 4, as: UInt32.self)))
    guard size <= TraceFormat.payloadLimit else { return end(.damaged(offset: offset)) }
    let payload = UnsafeMutableRawBufferPointer(
      rebasing: block[TraceFormat.blockHeaderSize..<TraceFormat.blockHeaderSize + size])
    guard source(payload) == size else { return end(.cut(offset: offset)) }
    guard hasItsChecksum(UnsafeRawBufferPointer(payload)) else { return end(.damaged(offset: offset)) }
    let kind = UInt32(littleEndian: header.load(as: UInt32.self))
    let start = offset
    offset &+= UInt64(TraceFormat.blockHeaderSize + size)
    switch kind {
    case TraceFormat.summaryBlock: return end(Self.summary(UnsafeRawBufferPointer(payload), start))
    case TraceFormat.eventBlock:
      guard decode(UnsafeRawBufferPointer(payload)) else { return end(.damaged(offset: start)) }
      return .events(events)
    case TraceFormat.snapshotBlock:
      guard let snapshots = snapshots(UnsafeRawBufferPointer(payload)) else {
        return end(.damaged(offset: start))
      }
      return .snapshots(snapshots)
    case TraceFormat.walkBlock: return Self.walks(UnsafeRawBufferPointer(payload)).map { .pageWalks($0) }
    default: return nil
    }
  }

  private static func walks(_ payload: UnsafeRawBufferPointer) -> PageWalks? {
    let words = (0..<payload.count / 8).map {
      UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self))
    }
    guard let l1 = PageWalkCounts(words: words),
      let l2 = PageWalkCounts(words: words.dropFirst(PageWalkCounts.wordCount))
    else { return nil }
    return PageWalks(l1: l1, l2: l2)
  }

  private mutating func end(_ ending: TraceEnding) -> TraceBlock? {
    self.ending = ending
    return nil
  }

  private func hasItsChecksum(_ payload: UnsafeRawBufferPointer) -> Bool {
    let head = TraceFormat.checksum(UnsafeRawBufferPointer(rebasing: block[..<40]))
    let stored = UInt64(littleEndian: block.load(fromByteOffset: 40, as: UInt64.self))
    return TraceFormat.checksum(payload, seed: head) == stored
  }

  /// Decodes the block's events; false if they are not what its header says.
  private mutating func decode(_ payload: UnsafeRawBufferPointer) -> Bool {
    let count = Int(UInt32(littleEndian: block.load(fromByteOffset: 8, as: UInt32.self)))
    events.removeAll(keepingCapacity: true)
    guard count <= payload.count else { return false }
    var decoder = TraceBlockDecoder(
      payload,
      TraceContext(
        end: UInt64(littleEndian: block.load(fromByteOffset: 16, as: UInt64.self)),
        instructions: UInt64(littleEndian: block.load(fromByteOffset: 24, as: UInt64.self)),
        tree: UInt64(littleEndian: block.load(fromByteOffset: 32, as: UInt64.self))))
    for _ in 0..<count {
      guard let event = decoder.next() else { return false }
      events.append(event)
    }
    return decoder.isAtEnd
  }

  private func snapshots(_ payload: UnsafeRawBufferPointer) -> TreeSnapshots? {
    let count = Int(UInt32(littleEndian: block.load(fromByteOffset: 8, as: UInt32.self)))
    let tree = UInt64(littleEndian: block.load(fromByteOffset: 32, as: UInt64.self))
    return SnapshotCoding.snapshots(payload, count: count).map { TreeSnapshots(tree: tree, snapshots: $0) }
  }

  private static func summary(_ payload: UnsafeRawBufferPointer, _ offset: UInt64) -> TraceEnding {
    guard payload.count >= 32 else { return .damaged(offset: offset) }
    func word(_ index: Int) -> UInt64 {
      UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self))
    }
    return .complete(
      TraceSummary(
        events: word(0), droppedEvents: word(1), instructions: word(2), cycles: word(3),
        sentence: String(decoding: payload[32...], as: UTF8.self)))
  }

  private static func fill(
    _ bytes: inout [UInt8], from source: (UnsafeMutableRawBufferPointer) -> Int
  ) -> Bool {
    let count = bytes.count
    return bytes.withUnsafeMutableBytes { source($0) } == count
  }

  private static func word32(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }
}
