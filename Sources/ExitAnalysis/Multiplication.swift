import Trace

/// The exit multiplication: how many hardware exits one exit of L2 leads to when L1 handles it.
///
/// Counted are the exit trees that ended with L2 running again. Exits of L2 that L0 handled itself, the exits of L1's
/// set-up, and a last tree that L2 never came back from are no part of it.
public struct Multiplication: Equatable, Sendable {
  /// The L2 exits that L1 handled, through to L2 running again.
  public var l2Exits: UInt64
  /// The hardware exits in their trees, the L2 exits included.
  public var hardwareExits: UInt64

  public init(l2Exits: UInt64 = 0, hardwareExits: UInt64 = 0) {
    self.l2Exits = l2Exits
    self.hardwareExits = hardwareExits
  }

  /// The multiplication over all of `trees`.
  public init(_ trees: some Sequence<TreeCount>) {
    self.init()
    for tree in trees {
      l2Exits += tree.finished
      hardwareExits += tree.hardwareExits
    }
  }

  /// Hardware exits per L2 exit; 0 when there was no L2 exit.
  public var perL2Exit: Double { l2Exits == 0 ? 0 : Double(hardwareExits) / Double(l2Exits) }
}
