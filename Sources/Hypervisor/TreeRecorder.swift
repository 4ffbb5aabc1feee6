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

/// What tells a run which exits a ``TreeRecorder`` has to be told of: nearly none, which cost no more than to see that.
struct RecordingState {
  static let reasonLimit = 128
  /// Exits of L2 that L0 kept, of one reason, after which their state at the exit is no longer kept.
  private static let patience: UInt32 = 4096

  /// What is known of one root reason.
  private struct Reason {
    /// The trees so far, and the number from 1 of the next one to be recorded.
    var seen: UInt64 = 0
    var next: UInt64 = 1
    /// The exits that L0 kept while a tree was to be recorded.
    var kept: UInt32 = 0
    var recorded: UInt32 = 0
  }

  private let reasons: UnsafeMutablePointer<Reason>
  private let treesPerReason: UInt32
  /// Whether a tree is being recorded, or the state at an exit that may become its root is kept.
  var isBusy = false

  init(treesPerReason: Int) {
    self.treesPerReason = UInt32(clamping: treesPerReason)
    reasons = .allocate(capacity: Self.reasonLimit)
    reasons.initialize(repeating: Reason(), count: Self.reasonLimit)
  }

  func deallocate() { reasons.deallocate() }

  private func row(_ reason: UInt16) -> UnsafeMutablePointer<Reason> {
    reasons + min(Int(reason), Self.reasonLimit - 1)
  }

  /// Whether the recorder has to be told of an exit that has just happened.
  func wantsExit(from level: ExitLevel, reason: UInt16) -> Bool {
    guard level == .l2 else { return isBusy }
    let row = row(reason)
    return row.pointee.seen &+ 1 == row.pointee.next && row.pointee.kept < Self.patience
  }

  /// Counts the exit that has been handled, and tells whether the recorder has to be told of it.
  func wantsHandled(_ event: UnsafeMutablePointer<ExitEvent>) -> Bool {
    if event.pointee.isTreeRoot {
      let row = row(event.pointee.reason)
      row.pointee.seen &+= 1
      if row.pointee.seen == row.pointee.next { advance(row) }
    } else if event.pointee.from == .l2, isBusy {
      row(event.pointee.reason).pointee.kept &+= 1
    }
    return isBusy
  }

  /// The next tree to be recorded comes after as many as all up to now; none if enough were.
  private func advance(_ row: UnsafeMutablePointer<Reason>) {
    row.pointee.recorded &+= isBusy ? 1 : 0
    row.pointee.next = row.pointee.recorded < treesPerReason ? row.pointee.seen &* 2 : 0
  }
}

/// Records the VMCSs at the steps of some exit trees.
///
/// Whether an exit of L2 becomes the root of a tree shows when it is routed, so the state at the exit is kept until
/// then.
final class TreeRecorder {
  let state: UnsafeMutablePointer<RecordingState>
  private let recording: TreeRecording
  /// The state at the exit that is being handled.
  private var pending: VMCSSnapshot?
  private var open: TreeSnapshots?
  private var step: UInt32 = 0

  init(_ recording: TreeRecording) {
    self.recording = recording
    state = .allocate(capacity: 1)
    state.initialize(to: RecordingState(treesPerReason: recording.treesPerReason))
  }

  deinit {
    state.pointee.deallocate()
    state.deallocate()
  }

  /// The guest has exited for `reason`, and nothing has been done yet.
  func noteExit(from level: ExitLevel, reason: UInt16, _ set: VMCSSet) {
    guard level == .l2 || hasRoom else { return }
    state.pointee.isBusy = true
    pending = VMCSSnapshot(set, step: level == .l2 ? 0 : step + 1, .exit)
  }

  /// L0 has handled the exit of `event`, which belongs to `tree` (``ExitEvent/noTree`` if to none), or opened it.
  func noteHandled(_ event: ExitEvent, tree: UInt64, endsTree: Bool, _ set: VMCSSet) {
    if event.isTreeRoot {
      step = 0
      open = pending == nil ? nil : TreeSnapshots(tree: tree)
    } else if event.from == .l1, open != nil {
      step &+= 1
    }
    if let pending, open?.tree == tree {
      open?.snapshots.append(pending)
      open?.snapshots.append(VMCSSnapshot(set, step: pending.step, .handled))
    }
    pending = nil
    if endsTree, let ended = open {
      recording.receive(ended)
      open = nil
    }
    state.pointee.isBusy = open != nil
  }

  /// Hands out a tree that the end of the run cuts short.
  func finish() {
    if let open { recording.receive(open) }
    open = nil
  }

  private var hasRoom: Bool { open != nil && step + 1 < UInt32(TreeSnapshots.stepLimit) }
}

extension VMCSSnapshot {
  fileprivate init(_ set: VMCSSet, step: UInt32, _ moment: Moment) {
    self.init(
      step: step, moment: moment, vmcs01: VMCSValues(set.vmcs01), vmcs12: VMCSValues(set.vmcs12),
      vmcs02: VMCSValues(set.vmcs02))
  }
}
