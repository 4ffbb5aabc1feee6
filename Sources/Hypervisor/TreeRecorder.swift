import Trace
import VMX

/// Which exit trees are recorded with their VMCSs, and who gets them.
public struct TreeRecording: Sendable {
  /// How many trees of each root reason: the first, and then each that comes after as many as all up to there, so that
  /// one tree more looks twice as far into the run.
  public var treesPerReason: Int
  /// Gets the snapshots of a tree when it ends, before the trace gets its root, on the thread of the run.
  public var receive: @Sendable (TreeSnapshots) -> Void

  public init(treesPerReason: Int, receive: @escaping @Sendable (TreeSnapshots) -> Void) {
    self.treesPerReason = treesPerReason
    self.receive = receive
  }
}

/// Records the VMCSs at the steps of some exit trees.
///
/// Whether an exit of L2 becomes the root of a tree shows when it is routed, so the state at the exit is kept until then.
final class TreeRecorder {
  /// Exits of L2 that L0 kept, of one reason, after which their state at the exit is no longer kept.
  private static let patience = 4096
  private static let reasonLimit = 128

  private let recording: TreeRecording
  /// By root reason: the trees so far, those recorded, and the exits that L0 kept.
  private var seen = [UInt64](repeating: 0, count: reasonLimit)
  private var recorded = [Int](repeating: 0, count: reasonLimit)
  private var kept = [Int](repeating: 0, count: reasonLimit)
  /// The state at the exit that is being handled.
  private var pending: VMCSSnapshot?
  private var open: TreeSnapshots?
  /// Whether there is any of the two: most exits find that there is none, and cost no more than that.
  private var isBusy = false
  private var step: UInt32 = 0

  init(_ recording: TreeRecording) { self.recording = recording }

  /// The guest has exited for `reason`, and nothing has been done yet.
  func noteExit(from level: ExitLevel, reason: UInt16, _ set: @autoclosure () -> VMCSSet) {
    guard level == .l2 || isBusy else { return }
    guard level == .l2 ? wants(reason) : hasRoom else { return }
    isBusy = true
    pending = VMCSSnapshot(set(), step: level == .l2 ? 0 : step + 1, .exit)
  }

  /// L0 has handled the exit of `event`, which belongs to `tree` (``ExitEvent/noTree`` if to none), or opened it.
  func noteHandled(_ event: ExitEvent, tree: UInt64, endsTree: Bool, _ set: @autoclosure () -> VMCSSet) {
    guard isBusy || event.from == .l2 else { return }
    if event.isTreeRoot {
      begin(event.reason, tree)
    } else if event.from == .l2 {
      kept[row(event.reason)] += 1
    } else if open != nil {
      step &+= 1
    }
    guard isBusy else { return }
    if let pending, open?.tree == tree {
      open?.snapshots.append(pending)
      open?.snapshots.append(VMCSSnapshot(set(), step: pending.step, .handled))
    }
    pending = nil
    if endsTree, let ended = open {
      recording.receive(ended)
      open = nil
    }
    isBusy = open != nil
  }

  /// Hands out a tree that the end of the run cuts short.
  func finish() {
    if let open { recording.receive(open) }
    open = nil
  }

  private func begin(_ reason: UInt16, _ tree: UInt64) {
    let row = row(reason)
    seen[row] &+= 1
    guard isBusy else { return }
    open = nil
    guard pending != nil else { return }
    recorded[row] += 1
    step = 0
    open = TreeSnapshots(tree: tree)
  }

  /// Whether the next tree of `reason` is to be recorded: the first, second, fourth, eighth, and so on.
  private func wants(_ reason: UInt16) -> Bool {
    let row = row(reason)
    let number = seen[row] &+ 1
    return number & (number &- 1) == 0 && recorded[row] < recording.treesPerReason
      && kept[row] < Self.patience
  }

  private var hasRoom: Bool { open != nil && step + 1 < UInt32(TreeSnapshots.stepLimit) }

  private func row(_ reason: UInt16) -> Int { min(Int(reason), Self.reasonLimit - 1) }
}

extension VMCSSnapshot {
  fileprivate init(_ set: VMCSSet, step: UInt32, _ moment: Moment) {
    self.init(
      step: step, moment: moment, vmcs01: VMCSValues(set.vmcs01), vmcs12: VMCSValues(set.vmcs12),
      vmcs02: VMCSValues(set.vmcs02))
  }
}
