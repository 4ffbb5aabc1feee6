import Testing
import Trace
import VMX

/// VMCS snapshots in a trace: what is written is read, and nothing else is disturbed.
@Suite struct SnapshotTests {
  private final class Bytes {
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

  /// Snapshots of one tree whose fields take small and extreme values, from a fixed seed.
  private static func snapshots(_ count: Int, tree: UInt64, seed: UInt64) -> TreeSnapshots {
    var state = seed
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 60 < 3 ? .max : state >> (state >> 59 & 63)
    }
    var values = [VMCSValues(), VMCSValues(), VMCSValues()]
    var tree = TreeSnapshots(tree: tree)
    for number in 0..<count {
      for index in values.indices {
        for row in VMCSField.rows.indices where next() & 3 == 0 {
          values[index][VMCSField.rows[row].field] = next()
        }
      }
      tree.snapshots.append(
        VMCSSnapshot(
          step: UInt32(number / 2), moment: number % 2 == 0 ? .exit : .handled, vmcs01: values[0],
          vmcs12: values[1], vmcs02: values[2]))
    }
    return tree
  }

  private static let events = (0..<500).map {
    ExitEvent(from: .l1, reason: 23, start: UInt64($0) * 10, end: UInt64($0) * 10 + 5, hostCycles: 5)
  }

  private static func written(_ trees: [TreeSnapshots]) -> [UInt8] {
    let file = Bytes()
    var writer = TraceWriter(TraceDescription()) { file.append($0) }
    for (number, event) in events.enumerated() {
      writer.append(event)
      if number < trees.count { writer.append(trees[number]) }
    }
    writer.finish(TraceSummary())
    return file.bytes
  }

  private static func read(_ bytes: [UInt8]) throws -> (
    events: [ExitEvent], snapshots: [UInt64: [VMCSSnapshot]], ending: TraceEnding?
  ) {
    let file = Bytes()
    file.bytes = bytes
    var reader = try TraceReader { file.fill($0) }
    var events: [ExitEvent] = []
    var snapshots: [UInt64: [VMCSSnapshot]] = [:]
    while let block = reader.next() {
      switch block {
      case .events(let more): events += more
      case .snapshots(let more): snapshots[more.tree, default: []] += more.snapshots
      case .pageWalks: break
      }
    }
    return (events, snapshots, reader.ending)
  }

  /// The second tree takes several blocks.
  @Test func everyFieldOfEverySnapshotComesBack() throws {
    let trees = [Self.snapshots(6, tree: 7, seed: 1), Self.snapshots(300, tree: .max, seed: 2)]
    let bytes = Self.written(trees)
    let reading = try Self.read(bytes)
    #expect(reading.snapshots[7] == trees[0].snapshots)
    #expect(reading.snapshots[.max] == trees[1].snapshots)
    #expect(reading.events == Self.events)
    #expect(reading.ending == .complete(TraceSummary(events: 500)))
    #expect(bytes.count > 2 * TraceFormat.payloadLimit)
  }

  @Test func aReaderOfEventsAloneSeesAllOfThem() throws {
    let file = Bytes()
    file.bytes = Self.written([Self.snapshots(20, tree: 0, seed: 3)])
    var reader = try TraceReader { file.fill($0) }
    var events: [ExitEvent] = []
    while let block = reader.nextBlock() { events += block }
    #expect(events == Self.events)
    #expect(reader.ending == .complete(TraceSummary(events: 500)))
  }

  /// Whatever happens to a byte, what is read is the beginning of what was written.
  @Test func aDamagedOrCutTraceIsReadUpToTheDamage() throws {
    let tree = Self.snapshots(8, tree: 1, seed: 4)
    let bytes = Self.written([tree])
    for position in stride(from: 0, to: bytes.count, by: 61) {
      var damaged = bytes
      damaged[position] ^= 0x10
      for candidate in [damaged, Array(bytes.prefix(position))] {
        guard let reading = try? Self.read(candidate) else { continue }
        #expect(tree.snapshots.starts(with: reading.snapshots[1] ?? []))
        #expect(reading.snapshots.count <= 1)
        #expect(Self.events.starts(with: reading.events))
        #expect(reading.ending?.warning != nil)
      }
    }
  }

  @Test func aTreeOfTooManyStepsIsCutAtTheLimit() throws {
    let tree = Self.snapshots(2 * TreeSnapshots.stepLimit + 10, tree: 1, seed: 5)
    let reading = try Self.read(Self.written([tree]))
    #expect(reading.snapshots[1]?.count == 2 * TreeSnapshots.stepLimit)
    #expect(reading.ending == .complete(TraceSummary(events: 500)))
  }
}
