import CostModel
import ExitAnalysis
import Trace
import VMX

/// One exit tree as the page shows it: steps, and who ran when.
struct Storyboard {
  /// Somebody runs.
  struct Segment: Equatable {
    var level: ExitLevel
    var phase: Phase
    /// In cycles since the board's beginning.
    var start: UInt64
    var end: UInt64
    /// The step that it belongs to: the exit that L0 handles, or the one that ended the guest's run.
    var step: Int
  }

  let example: TreeExample
  private let prices: CostPrices
  /// The root, then the exits of L1.
  let steps: [ExitEvent]
  let segments: [Segment]
  /// The virtual time at which the board begins: L2 resumes.
  let origin: UInt64

  init(_ example: TreeExample, _ prices: CostPrices) {
    self.example = example
    self.prices = prices
    steps = [example.root] + example.children
    origin = example.root.start &- example.ranBefore
    segments = Self.segments(steps, from: origin, prices, isWhole: example.omitted == 0)
  }

  private static func segments(
    _ steps: [ExitEvent], from origin: UInt64, _ prices: CostPrices, isWhole: Bool
  ) -> [Segment] {
    var segments: [Segment] = []
    var now = origin
    func run(_ level: ExitLevel, _ phase: Phase, until time: UInt64, _ step: Int) {
      guard time > now else { return }
      segments.append(
        Segment(level: level, phase: phase, start: now &- origin, end: time &- origin, step: step))
      now = time
    }
    for (number, event) in steps.enumerated() {
      // What of the time since the step before the guest did not run, other virtual CPUs did.
      let started = event.start &- min(event.ranCycles, event.start)
      run(event.from, .others, until: started, number)
      run(event.from, number == 0 ? .l2 : .handlerL1, until: event.start, number)
      let parts = HostParts(event, prices)
      run(.l0, event.from == .l2 ? .switchL2 : .switchL1, until: event.start &+ parts.exit, number)
      run(.l0, .handlerL0, until: now &+ parts.handler, number)
      run(.l0, .transform, until: now &+ parts.transform, number)
      run(.l0, parts.resumed == .l2 ? .switchL2 : .switchL1, until: now &+ parts.entry, number)
      if number > 0 {
        let waited = event.waitedCycles > 0 ? event.end : now
        run(event.from, .idle, until: min(waited, now &+ event.waitedCycles), number)
        run(event.from, .others, until: event.end, number)
      }
    }
    if let root = steps.first, isWhole { run(.l1, .handlerL1, until: root.end, steps.count - 1) }
    return segments
  }

  /// How long the guest ran before step `number`, in cycles.
  private func ranBefore(_ number: Int) -> UInt64 {
    segments.first { $0.step == number && ($0.phase == .l2 || $0.phase == .handlerL1) }.map {
      $0.end &- $0.start
    }
      ?? 0
  }

  // MARK: For the page

  func json(shape: Int?, snapshots: [VMCSSnapshot]?, _ words: inout SnapshotWords) -> JSONValue {
    .object([
      .init("tree", .unsigned(example.root.tree)),
      .init("processor", .unsigned(UInt64(example.root.processor))),
      .init("reason", .string(ExitSubject.name(example.root.reason))),
      .init("shape", shape.map { .unsigned(UInt64($0)) } ?? .null),
      .init("size", .unsigned(example.size)), .init("omitted", .unsigned(example.omitted)),
      .init("at", .string(grouped(example.root.start))), .init("origin", .string("\(origin)")),
      .init("span", .unsigned(example.root.span)), .init("ranBefore", .unsigned(example.ranBefore)),
      .init("steps", .array(steps.indices.map(step))),
      .init("segments", .array(segments.map(Self.json))),
      .init("vmcs", snapshots.map { SnapshotData($0).json(&words) } ?? .null),
    ])
  }

  private static func json(_ segment: Segment) -> JSONValue {
    [
      .unsigned(UInt64(segment.level.rawValue)), .string("\(segment.phase.key)"), .unsigned(segment.start),
      .unsigned(segment.end), .unsigned(UInt64(segment.step)),
    ]
  }

  private func step(_ number: Int) -> JSONValue {
    let event = steps[number]
    let operand = ExitSubject.operand(event.reason, event.operand, from: event.from)
    return [
      "from": .string("\(event.from.name)"), "to": .string("\(event.routedTo.name)"),
      "reason": .string(ExitSubject.name(event.reason)), "about": .string(ExitSubject.summary(event)),
      "start": .unsigned(event.start &- origin), "end": .unsigned(event.end &- origin),
      "ran": .unsigned(ranBefore(number)), "host": .unsigned(event.hostCycles),
      "rip": .string(hexadecimal(event.rip)), "instructions": .string(grouped(event.instructions)),
      "qualification": .string(hexadecimal(event.qualification)),
      "qualificationWords": .string(ExitSubject.qualification(event.reason, event.qualification)),
      "operand": operand.map { [.string($0.name), .string($0.text)] } ?? .null,
      "resumes": .string("\(HostParts(event, prices).resumed.name)"),
      "exitless": [.unsigned(UInt64(event.work.guestReads)), .unsigned(UInt64(event.work.guestWrites))],
      "work": .array(
        WorkItems(event, prices).rows.map {
          [.string($0.name), .unsigned($0.count), .unsigned($0.price), .unsigned($0.cycles)]
        }),
    ]
  }
}
