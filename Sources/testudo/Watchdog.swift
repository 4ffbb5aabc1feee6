import Foundation
import Hypervisor
import Synchronization

/// Ends a run when the user interrupts it or when its time is over.
///
/// SIGINT, SIGTERM and SIGHUP are blocked in the whole process and taken by one thread, so no code runs in a signal
/// handler. A second signal ends the process at once. SIGCONT makes the terminal the guest's again.
final class Watchdog: Sendable {
  private struct State {
    var requestStop: (@Sendable (StopReason) -> Void)?
    var reason: StopReason?
    var status: ExitStatus?
    /// When the run was asked to stop, while it goes on.
    var stopped: ContinuousClock.Instant?
  }

  /// So long a run may take to stop. A run on the software processor stops at once; in KVM_RUN the kernel may keep it.
  private static let patience = Duration.seconds(10)

  private let state = Mutex(State())
  private let deadline: ContinuousClock.Instant?

  /// Starts watching; to be called before any other thread is started. `timeout` is in seconds.
  init(timeout: Double?) {
    deadline = timeout.map { ContinuousClock.now + .seconds($0) }
    var signals = Self.signals
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    Thread.detachNewThread { [self] in watch() }
  }

  /// The run to be ended; a reason that came before is handed on at once.
  func guardRun(_ requestStop: @escaping @Sendable (StopReason) -> Void) {
    let reason = state.withLock { state in
      state.requestStop = requestStop
      return state.reason
    }
    if let reason { requestStop(reason) }
  }

  /// The run is over.
  func noteEnd() {
    state.withLock { state in
      state.requestStop = nil
      state.stopped = nil
    }
  }

  /// The exit status that a signal asks for, if there was one.
  var signalStatus: ExitStatus? { state.withLock(\.status) }

  private static var signals: sigset_t {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGCONT)
    // nohup(1) has it ignored, but to one that is blocked this means nothing.
    if !isHangUpIgnored { sigaddset(&signals, SIGHUP) }
    return signals
  }

  private static let isHangUpIgnored: Bool = {
    var action = sigaction()
    sigaction(SIGHUP, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }()

  private func watch() {
    var isTimedOut = false
    while true {
      var wait = timespec(tv_sec: 3600, tv_nsec: 0)
      let end = state.withLock { $0.stopped }.map { $0 + Self.patience }
      if let end, ContinuousClock.now >= end { abandon() }
      if let next = end ?? (isTimedOut ? nil : deadline) {
        let left = max(.zero, next - .now).components
        wait = timespec(tv_sec: Int(min(left.seconds, 3600)), tv_nsec: Int(left.attoseconds / 1_000_000_000))
      }
      var signals = Self.signals
      let signal = sigtimedwait(&signals, nil, &wait)
      if signal == SIGCONT {
        Terminal.resume()
      } else if signal > 0 {
        interrupt(signal == SIGTERM ? .terminated : signal == SIGHUP ? .hungUp : .interrupted)
      } else if let deadline, !isTimedOut, ContinuousClock.now >= deadline {
        isTimedOut = true
        stop(.timeout)
      }
    }
  }

  /// The user ends the run from the console, as by SIGINT.
  func leave() { interrupt(.interrupted) }

  private func interrupt(_ status: ExitStatus) {
    let isSecond = state.withLock { state in
      defer { state.status = status }
      return state.status != nil
    }
    if isSecond {
      Terminal.restore()
      _exit(status.rawValue)
    }
    stop(.interrupted)
  }

  private func stop(_ reason: StopReason) {
    let requestStop = state.withLock { state in
      if state.reason == nil { state.reason = reason }
      if state.requestStop != nil, state.stopped == nil { state.stopped = .now }
      return state.requestStop
    }
    requestStop?(reason)
  }

  /// Ends the process, since the run cannot be ended.
  private func abandon() -> Never {
    Terminal.restore()
    let status = signalStatus ?? .limitReached
    Output.complain(
      "the run was to stop 10 s ago and has not, as when KVM_RUN does not return: it is abandoned, and not counted"
    )
    _exit(status.rawValue)
  }
}
