import Foundation
import Synchronization

/// One line on a terminal that tells how far a long run has come, written over and over in its place, and erased at the
/// end. Whatever else is written to the terminal erases it first.
///
/// There is none unless standard error is a terminal: what is piped or kept stays free of it. There is none either while
/// the terminal is the guest's, whose user it would disturb.
final class ProgressLine: Sendable {
  /// Runs shorter than this show nothing.
  static let patience = Duration.seconds(2)
  private static let interval = Duration.milliseconds(250)
  private static let erase = "\r\u{1B}[K"
  /// A longer line would wrap, and could not be erased.
  private static let widest = 79

  private struct State {
    var isShown = false
    /// Whether an unfinished line of somebody else's stands where it would be.
    var isHeld = false
    var isOver = false
    var next: ContinuousClock.Instant
  }

  private let state: Mutex<State>
  private let start = ContinuousClock.now

  /// Nil if there is nobody to look: standard error is no terminal, or `isForPrograms` and standard output is none,
  /// whose reader is then a program.
  init?(isForPrograms: Bool) {
    guard isatty(STDERR_FILENO) == 1, !isForPrograms || isatty(STDOUT_FILENO) == 1 else { return nil }
    state = Mutex(State(next: start + Self.patience))
  }

  /// The seconds since its beginning.
  var seconds: Double {
    let duration = (ContinuousClock.now - start).components
    return Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
  }

  /// Shows `text` if it is time to.
  func update(_ text: @autoclosure () -> String) {
    let now = ContinuousClock.now
    state.withLock { state in
      guard !state.isOver, !state.isHeld, !Terminal.isRaw, now >= state.next else { return }
      state.next = now + Self.interval
      state.isShown = true
      Self.write(Self.erase + text().prefix(Self.widest))
    }
  }

  /// Shows what `text` says from time to time, from a thread of its own, until ``end()``.
  func follow(_ text: @escaping @Sendable () -> String) {
    Thread.detachNewThread { [self] in
      while !state.withLock(\.isOver) {
        usleep(100_000)
        update(text())
      }
    }
  }

  /// Makes room for something else on the terminal; until the next call, if that leaves a line `unfinished`.
  func erase(unfinished: Bool = false) {
    state.withLock { state in
      state.isHeld = unfinished
      guard state.isShown else { return }
      state.isShown = false
      Self.write(Self.erase)
    }
  }

  /// Erases the line for good.
  func end() {
    erase()
    state.withLock { $0.isOver = true }
  }

  private static func write(_ text: String) { Output.write(Array(text.utf8), to: STDERR_FILENO) }
}
