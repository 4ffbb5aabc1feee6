import VMX

/// How often one kind of exit happened, and what it cost L0.
public struct ExitCount: Equatable, Sendable {
  /// The level that caused the exits.
  public var from: ExitLevel
  /// The basic exit reason.
  public var reason: UInt16
  /// The level that handled them.
  public var routedTo: ExitLevel
  /// The number of exits.
  public var count: UInt64
  /// The virtual cycles that L0 spent on them: exits, handlers and entries, without the exits inside their trees. So
  /// the rows of one run add up, with its retired instructions, to its virtual cycles.
  public var cycles: UInt64
  /// The virtual cycles from exit to resumption, those of the exits inside their trees included.
  public var spanCycles: UInt64

  public init(
    from: ExitLevel, reason: UInt16, routedTo: ExitLevel, count: UInt64, cycles: UInt64, spanCycles: UInt64
  ) {
    self.from = from
    self.reason = reason
    self.routedTo = routedTo
    self.count = count
    self.cycles = cycles
    self.spanCycles = spanCycles
  }

  /// The exit reason's SDM name in capitals, or `UNKNOWN`.
  public var reasonName: StaticString { ExitReason(rawValue: reason)?.name ?? "UNKNOWN" }
}

/// What the exit trees of one root reason add up to.
public struct TreeCount: Equatable, Sendable {
  /// The basic exit reason of the L2 exits that L1 handled.
  public var reason: UInt16
  /// The number of trees that ended with L2 running again.
  public var finished: UInt64
  /// The number of hardware exits in those trees, their roots included.
  public var hardwareExits: UInt64
  /// The virtual cycles that those trees span.
  public var spanCycles: UInt64
  /// Trees that the end of the run, or L1's leaving VMX operation, cut short; no other figure counts them.
  public var unfinished: UInt64

  public init(
    reason: UInt16, finished: UInt64, hardwareExits: UInt64, spanCycles: UInt64, unfinished: UInt64
  ) {
    self.reason = reason
    self.finished = finished
    self.hardwareExits = hardwareExits
    self.spanCycles = spanCycles
    self.unfinished = unfinished
  }

  /// The exit reason's SDM name in capitals, or `UNKNOWN`.
  public var reasonName: StaticString { ExitReason(rawValue: reason)?.name ?? "UNKNOWN" }
}

/// The exact counts of every kind of exit and of every exit tree, in one fixed block of memory.
///
/// The block belongs to the ``ExitLog`` that counts into it; reasons above the table's end share its last row.
@usableFromInline
struct ExitCounters {
  /// The number of basic exit reasons that have a row of their own.
  @usableFromInline static let reasonLimit = 128

  @usableFromInline
  struct Cell {
    @usableFromInline var count: UInt64 = 0
    @usableFromInline var cycles: UInt64 = 0
    @usableFromInline var spanCycles: UInt64 = 0
    @usableFromInline init() {}
  }

  @usableFromInline
  struct TreeCell {
    @usableFromInline var finished: UInt64 = 0
    @usableFromInline var hardwareExits: UInt64 = 0
    @usableFromInline var spanCycles: UInt64 = 0
    @usableFromInline var unfinished: UInt64 = 0
    @usableFromInline init() {}
  }

  /// Indexed by reason, then by (L2?, routed to L1?).
  @usableFromInline let cells: UnsafeMutablePointer<Cell>
  @usableFromInline let trees: UnsafeMutablePointer<TreeCell>

  init() {
    cells = .allocate(capacity: Self.reasonLimit * 4)
    cells.initialize(repeating: Cell(), count: Self.reasonLimit * 4)
    trees = .allocate(capacity: Self.reasonLimit)
    trees.initialize(repeating: TreeCell(), count: Self.reasonLimit)
  }

  func deallocate() {
    cells.deallocate()
    trees.deallocate()
  }

  @inlinable
  static func row(_ reason: UInt16) -> Int { min(Int(reason), reasonLimit &- 1) }

  @inlinable
  func count(_ event: UnsafeMutablePointer<ExitEvent>) {
    let column = (event.pointee.from == .l2 ? 2 : 0) &+ (event.pointee.routedTo == .l1 ? 1 : 0)
    let cell = cells + (Self.row(event.pointee.reason) &* 4 &+ column)
    cell.pointee.count &+= 1
    cell.pointee.cycles &+= event.pointee.hostCycles
    cell.pointee.spanCycles &+= event.pointee.span
  }

  @inlinable
  func countTree(root: ExitEvent, hardwareExits: UInt64) {
    let cell = trees + Self.row(root.reason)
    guard root.isFinished else {
      cell.pointee.unfinished &+= 1
      return
    }
    cell.pointee.finished &+= 1
    cell.pointee.hardwareExits &+= hardwareExits
    cell.pointee.spanCycles &+= root.span
  }

  /// The rows that are not zero, by level from the innermost, then by count from the largest, then by reason.
  var exitCounts: [ExitCount] {
    var rows: [ExitCount] = []
    for index in 0..<Self.reasonLimit * 4 where cells[index].count > 0 {
      let cell = cells[index]
      rows.append(
        ExitCount(
          from: index & 2 != 0 ? .l2 : .l1, reason: UInt16(index / 4), routedTo: index & 1 != 0 ? .l1 : .l0,
          count: cell.count, cycles: cell.cycles, spanCycles: cell.spanCycles))
    }
    return rows.inReportOrder
  }

  /// The root reasons that have any tree, in order of reason.
  var treeCounts: [TreeCount] {
    (0..<Self.reasonLimit).compactMap { reason in
      let cell = trees[reason]
      guard cell.finished > 0 || cell.unfinished > 0 else { return nil }
      return TreeCount(
        reason: UInt16(reason), finished: cell.finished, hardwareExits: cell.hardwareExits,
        spanCycles: cell.spanCycles, unfinished: cell.unfinished)
    }
  }
}

extension [ExitCount] {
  /// By level from the innermost, then by count from the largest, then by reason.
  var inReportOrder: [ExitCount] {
    sorted { ($1.from, $1.count, $0.reason, $0.routedTo) < ($0.from, $0.count, $1.reason, $1.routedTo) }
  }

  /// The sums of the counts of several virtual CPUs, in the order of one's.
  public func adding(_ others: [ExitCount]) -> [ExitCount] {
    var sums = self
    for other in others {
      let place = sums.firstIndex {
        ($0.from, $0.reason, $0.routedTo) == (other.from, other.reason, other.routedTo)
      }
      guard let place else {
        sums.append(other)
        continue
      }
      sums[place].count &+= other.count
      sums[place].cycles &+= other.cycles
      sums[place].spanCycles &+= other.spanCycles
    }
    return sums.inReportOrder
  }
}

extension [TreeCount] {
  /// The sums of the counts of several virtual CPUs, in order of reason.
  public func adding(_ others: [TreeCount]) -> [TreeCount] {
    var sums = self
    for other in others {
      guard let place = sums.firstIndex(where: { $0.reason == other.reason }) else {
        sums.append(other)
        continue
      }
      sums[place].finished &+= other.finished
      sums[place].hardwareExits &+= other.hardwareExits
      sums[place].spanCycles &+= other.spanCycles
      sums[place].unfinished &+= other.unfinished
    }
    return sums.sorted { $0.reason < $1.reason }
  }
}
