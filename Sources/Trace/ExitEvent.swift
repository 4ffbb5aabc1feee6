import VMX

/// A level of nesting, as a value: who caused an exit, and whom it was routed to.
public enum ExitLevel: UInt8, CaseIterable, Comparable, Sendable {
  case l0, l1, l2

  /// The level as reports and JSON write it.
  public var name: StaticString {
    switch self {
    case .l0: "L0"
    case .l1: "L1"
    case .l2: "L2"
    }
  }

  @inlinable
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// One VM exit, from the moment the guest stopped to the moment the same guest ran again. A trivial value of 128
/// bytes.
///
/// An exit of L2 that is routed to L1 is the root of an *exit tree*: every exit that L1 causes until L2 runs again
/// belongs to it, and its span encloses theirs. All times are virtual cycles.
public struct ExitEvent: Equatable, Sendable {
  /// The virtual time of the exit.
  public var start: UInt64
  /// The virtual time at which the guest that exited runs again, or at which the run ended.
  public var end: UInt64
  /// The part of the span that L0 spent on this exit alone: the exit, its handler and the entry that ended it.
  public var hostCycles: UInt64
  /// The virtual cycles that the guest had run since it was entered, up to the exit.
  public var ranCycles: UInt64
  /// The part of the span in which the whole machine waited for an event. Of several virtual CPUs, the one that goes on
  /// then has it; so what was run, what L0 spent and what was waited add up to the virtual time over all events.
  public var waitedCycles: UInt64
  /// The number of guest instructions retired since power-on when the exit happened.
  public var instructions: UInt64
  /// The guest RIP at the exit.
  public var rip: UInt64
  /// The exit qualification.
  public var qualification: UInt64
  /// What the exit was about, beside its qualification, as ``ExitOperand`` says for its reason; 0 unless events are
  /// recorded.
  public var operand: UInt64
  /// What L0 did for this exit alone.
  public var work: ExitWork
  /// The ordinal of the L2 exit in whose tree this exit is (a root's own ordinal), or ``noTree``. Each virtual CPU
  /// counts its own: its number is in bits 63:48.
  public var tree: UInt64
  /// The basic exit reason (SDM, "VMX Basic Exit Reasons").
  public var reason: UInt16
  /// The level whose execution caused the exit: `.l1` or `.l2`.
  public var from: ExitLevel
  /// The level that handled it: `.l0`, or `.l1` for a reflected exit.
  public var routedTo: ExitLevel
  /// The number of the virtual CPU that exited.
  public var processor: UInt8
  /// Whether the guest that exited ran again; false for what the end of the run cut short.
  public var isFinished: Bool

  /// The value of `tree` for an exit that belongs to no L2 exit, such as those of L1's set-up.
  public static let noTree = UInt64.max

  @inlinable
  public init(
    from: ExitLevel, reason: UInt16, routedTo: ExitLevel = .l0, start: UInt64, end: UInt64 = 0,
    hostCycles: UInt64 = 0, ranCycles: UInt64 = 0, waitedCycles: UInt64 = 0, instructions: UInt64 = 0,
    rip: UInt64 = 0, qualification: UInt64 = 0,
    operand: UInt64 = 0, work: ExitWork = ExitWork(), tree: UInt64 = ExitEvent.noTree, processor: UInt8 = 0,
    isFinished: Bool = true
  ) {
    self.start = start
    self.end = end
    self.hostCycles = hostCycles
    self.ranCycles = ranCycles
    self.waitedCycles = waitedCycles
    self.instructions = instructions
    self.rip = rip
    self.qualification = qualification
    self.operand = operand
    self.work = work
    self.tree = tree
    self.reason = reason
    self.from = from
    self.routedTo = routedTo
    self.processor = processor
    self.isFinished = isFinished
  }

  /// The cycles from the exit until the guest ran again, those of the exits inside included.
  @inlinable
  public var span: UInt64 { end &- start }

  /// Whether this exit is the root of a tree: an exit of L2 that L1 handled.
  @inlinable
  public var isTreeRoot: Bool { from == .l2 && routedTo == .l1 }

  /// The exit reason's SDM name in capitals, or `UNKNOWN`.
  public var reasonName: StaticString { ExitReason(rawValue: reason)?.name ?? "UNKNOWN" }
}
