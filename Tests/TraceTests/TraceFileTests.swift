import Testing
import Trace
import VMX

/// Bytes of a trace, written and read in memory.
private final class TraceBytes {
  var bytes: [UInt8] = []
  var position = 0

  func append(_ piece: UnsafeRawBufferPointer) { bytes += piece }

  func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(buffer.count, bytes.count - position)
    buffer.copyBytes(from: bytes[position..<position + count])
    position += count
    return count
  }
}

private struct Reading {
  var description: TraceDescription
  var events: [ExitEvent] = []
  var ending: TraceEnding?
}

private func read(_ bytes: [UInt8]) throws(TraceError) -> Reading {
  let file = TraceBytes()
  file.bytes = bytes
  var reader = try TraceReader { file.fill($0) }
  var reading = Reading(description: reader.description)
  while let block = reader.nextBlock() { reading.events += block }
  reading.ending = reader.ending
  return reading
}

private func written(
  _ events: [ExitEvent], _ description: TraceDescription = TraceDescription(),
  summary: TraceSummary? = TraceSummary()
) -> [UInt8] {
  let file = TraceBytes()
  var writer = TraceWriter(description) { file.append($0) }
  for event in events { writer.append(event) }
  if let summary { writer.finish(summary) } else { writer.flush() }
  return file.bytes
}

/// Events whose every field takes small, large and extreme values, from a fixed seed.
private func randomEvents(_ count: Int, seed: UInt64) -> [ExitEvent] {
  var state = seed
  func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    let value = state >> 7 ^ state << 13
    switch state >> 60 {
    case 0: return 0
    case 1: return .max
    case 2...9: return value & 0xFF
    case 10...13: return value & 0xFFFF_FFFF
    default: return value
    }
  }
  return (0..<count).map { _ in
    ExitEvent(
      from: next() & 1 == 0 ? .l1 : .l2, reason: UInt16(truncatingIfNeeded: next()),
      routedTo: next() & 1 == 0 ? .l0 : .l1, start: next(), end: next(), hostCycles: next(),
      ranCycles: next(), waitedCycles: next(), instructions: next(), rip: next(), qualification: next(),
      operand: next(),
      work: ExitWork(
        vmcsReads: UInt32(truncatingIfNeeded: next()), vmcsWrites: UInt32(truncatingIfNeeded: next()),
        memoryAccesses: UInt32(truncatingIfNeeded: next()), vmptrlds: UInt32(truncatingIfNeeded: next()),
        invepts: UInt32(truncatingIfNeeded: next()), invvpids: UInt32(truncatingIfNeeded: next()),
        guestReads: UInt32(truncatingIfNeeded: next()),
        guestWrites: UInt32(truncatingIfNeeded: next()), tlbMisses: UInt32(truncatingIfNeeded: next()),
        walkReferences: UInt32(truncatingIfNeeded: next())),
      tree: next(), processor: UInt8(truncatingIfNeeded: next()), isFinished: next() & 1 == 0)
  }
}

@Suite struct TraceFileTests {
  @Test func everyFieldOfEveryEventComesBack() throws {
    let events = randomEvents(20_000, seed: 1)
    let reading = try read(written(events))
    #expect(reading.events == events)
    #expect(reading.ending == .complete(TraceSummary(events: 20_000)))
  }

  @Test func aTypicalEventIsFarBelow32Bytes() {
    let events = (0..<10_000).map { number in
      let start = UInt64(number) * 2_760
      return ExitEvent(
        from: .l1, reason: ExitReason.vmread.rawValue, start: start, end: start + 2_724, hostCycles: 2_724,
        ranCycles: 36, instructions: UInt64(number) * 5, rip: 0x10_0D4D + UInt64(number % 4) * 8,
        operand: 0x4402,
        work: ExitWork(vmcsReads: 9, vmcsWrites: 2, memoryAccesses: 1), tree: UInt64(number / 8))
    }
    #expect(written(events).count < 20 * events.count)
  }

  @Test func theDescriptionAndTheSummaryComeBack() throws {
    let description = TraceDescription([
      .init("guest", "a=b%\nc"), .init("odd=key", ""), .init("frequency", "2500000000"),
    ])
    let summary = TraceSummary(
      droppedEvents: 3, instructions: 4, cycles: 5, sentence: "the guest reported success")
    let reading = try read(written([], description, summary: summary))
    #expect(reading.description == description)
    #expect(reading.description.frequency == 2_500_000_000)
    #expect(reading.ending == .complete(summary))
  }

  /// A crash can end the file anywhere: what is read is a prefix of what was written, and all of its whole blocks.
  @Test func aTraceCutAnywhereIsReadUpToItsLastWholeBlock() throws {
    let events = randomEvents(4_000, seed: 2)
    let bytes = written(events)
    let headerSize = written([], summary: nil).count
    var counts: Set<Int> = []
    for length in stride(from: 0, to: bytes.count, by: 97) {
      guard length >= headerSize else {
        #expect(throws: TraceError.self) { try read(Array(bytes.prefix(length))) }
        continue
      }
      let reading = try read(Array(bytes.prefix(length)))
      #expect(reading.events == Array(events.prefix(reading.events.count)))
      counts.insert(reading.events.count)
      switch reading.ending {
      case .cut(let offset): #expect(offset <= UInt64(length))
      case .withoutSummary: break
      default:
        Issue.record("\(length) bytes of \(bytes.count) ended as \(String(describing: reading.ending))")
      }
      #expect(reading.ending?.warning != nil)
    }
    #expect(counts.count > 2)
  }

  /// The same at every byte of a small trace that has a block of each kind.
  @Test func everyCutOfASmallTraceIsReadUpToItsLastWholeBlock() throws {
    let events = randomEvents(30, seed: 4)
    let file = TraceBytes()
    var ends: [(bytes: Int, events: Int)] = []
    var writer = TraceWriter(TraceDescription([.init("guest", "small")])) { file.append($0) }
    ends.append((file.bytes.count, 0))
    for (number, event) in events.enumerated() {
      writer.append(event)
      if number % 10 == 9 {
        writer.append(TreeSnapshots(tree: 1, snapshots: [Self.snapshot]))
        ends.append((file.bytes.count, number - 9))
        writer.flush()
        ends.append((file.bytes.count, number + 1))
      }
    }
    writer.finish(TraceSummary(sentence: "done", pageWalks: PageWalks()))
    for length in 0..<file.bytes.count {
      let prefix = Array(file.bytes.prefix(length))
      guard length >= ends[0].bytes else {
        #expect(throws: TraceError.self) { try read(prefix) }
        continue
      }
      let reading = try read(prefix)
      let whole = ends.last { $0.bytes <= length }
      #expect(reading.events == Array(events.prefix(whole?.events ?? 0)), "\(length) bytes")
      #expect(reading.ending?.warning != nil, "\(length) bytes")
    }
    #expect(try read(file.bytes).events == events)
  }

  private static var snapshot: VMCSSnapshot {
    VMCSSnapshot(
      step: 0, moment: .exit, vmcs01: VMCSValues(), vmcs12: VMCSValues(), vmcs02: VMCSValues())
  }

  /// What a log writes is what it would have kept, if the blocks are sealed later, too.
  @Test func aLogWritesWhatItCounts() throws {
    let file = TraceBytes()
    let writer = UnsafeMutablePointer<TraceWriter>.allocate(capacity: 1)
    var blocks: [UnsealedBlock] = []
    var header: [UInt8] = []
    writer.initialize(
      to: TraceWriter(
        TraceDescription(), output: { header += $0 },
        exchange: { block in
          blocks.append(block)
          return UnsealedBlock.allocate()
        }))
    var log = ExitLog(mode: .written(writer))
    var kept = ExitLog(mode: .kept(limit: 10_000))
    let isRecording = log.isRecording
    #expect(isRecording)
    for event in randomEvents(10_000, seed: 5) {
      log.append(event)
      kept.append(event)
    }
    writer.pointee.finish(TraceSummary())
    writer.deinitialize(count: 1)
    writer.deallocate()
    file.bytes = header
    for block in blocks {
      file.append(block.sealed())
      block.deallocate()
    }
    let reading = try read(file.bytes)
    #expect(blocks.count > 2)
    #expect(reading.events == kept.events)
    #expect(reading.ending == .complete(TraceSummary(events: 10_000)))
  }

  @Test func thePageWalksComeBack() throws {
    var walks = PageWalks()
    walks.l1.add(guest: 4, ept: 20)
    walks.l1.add(guest: 4, ept: 8)
    walks.l2.add(guest: 0, ept: 4)
    let file = TraceBytes()
    var writer = TraceWriter(TraceDescription()) { file.append($0) }
    writer.finish(TraceSummary(pageWalks: walks))
    var reader = try TraceReader { file.fill($0) }
    guard case .pageWalks(let found) = reader.next() else {
      Issue.record("there are no page walks")
      return
    }
    #expect(found == walks)
    #expect(found.l1.walks == 2)
    #expect(found.l1.byReferences[24] == 1)
    #expect(found.l1.byReferences[12] == 1)
    #expect(reader.next() == nil)
    #expect(reader.ending == .complete(TraceSummary()))
  }

  /// A changed byte is found, wherever it is, and never traps.
  @Test func aDamagedTraceIsReadUpToTheDamage() throws {
    let events = randomEvents(3_000, seed: 3)
    let bytes = written(events)
    for position in stride(from: 0, to: bytes.count, by: 211) {
      var damaged = bytes
      damaged[position] ^= 0x40
      guard let reading = try? read(damaged) else { continue }
      #expect(reading.events == Array(events.prefix(reading.events.count)))
      if case .complete = reading.ending { Issue.record("the damage at byte \(position) was not found") }
    }
  }

  @Test func whatIsNoTraceIsRefusedWithASentence() {
    #expect(throws: TraceError.notATrace) { try read([]) }
    #expect(throws: TraceError.notATrace) { try read(Array("{\"traceEvents\":[]}, and so on".utf8)) }
    var later = written([])
    later[8] = 9
    #expect(throws: TraceError.unknownVersion(9)) { try read(later) }
    later[8] = 1
    #expect(throws: TraceError.unknownVersion(1)) { try read(later) }
  }
}
