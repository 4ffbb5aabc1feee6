import Trace

/// One exit of L2 that L1 handled, and every exit on the way until L2 ran again.
public struct ExitTree: Equatable, Sendable {
  /// The exit of L2.
  public var root: ExitEvent
  /// The exits that L1 caused meanwhile, in order.
  public var children: [ExitEvent]

  public init(root: ExitEvent, children: [ExitEvent]) {
    self.root = root
    self.children = children
  }

  /// The number of hardware exits: the exit multiplication of this one exit.
  public var size: Int { 1 + children.count }

  /// The cycles from the exit of L2 until it ran again.
  public var inclusiveCycles: UInt64 { root.span }

  /// The part that L0 spent on handling exits: the root's and every child's.
  public var hostCycles: UInt64 { children.reduce(root.hostCycles) { $0 &+ $1.hostCycles } }

  /// The part that L1 itself ran.
  public var guestHypervisorCycles: UInt64 { children.reduce(0) { $0 &+ $1.ranCycles } }

  /// The tree on one line, the exits in order and repetitions folded:
  /// `L2 CPUID → L1 {VMREAD×4, CPUID, VMWRITE, VMRESUME}`.
  public var text: String {
    var parts: [String] = []
    var position = 0
    while position < children.count {
      let reason = children[position].reason
      var count = 1
      while position + count < children.count, children[position + count].reason == reason { count += 1 }
      let name = children[position].reasonName
      parts.append(count == 1 ? "\(name)" : "\(name)×\(count)")
      position += count
    }
    return "L2 \(root.reasonName) → L1 {\(parts.joined(separator: ", "))}"
  }
}

extension ExitTree {
  /// The finished exit trees in `events` (in order of completion, as an ``ExitLog`` keeps them), in order.
  ///
  /// A tree whose root is missing, because the log was full, is left out.
  public static func trees(in events: some Sequence<ExitEvent>) -> [ExitTree] {
    var trees: [ExitTree] = []
    var open: [UInt8: [ExitEvent]] = [:]
    for event in events {
      if event.isTreeRoot {
        let children = open.removeValue(forKey: event.processor) ?? []
        if event.isFinished { trees.append(ExitTree(root: event, children: children)) }
      } else if event.tree != ExitEvent.noTree, event.from == .l1 {
        open[event.processor, default: []].append(event)
      }
    }
    return trees
  }
}
