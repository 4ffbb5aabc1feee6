import Glibc
import Synchronization

/// The terminal that is a guest's console: raw, so that every key goes to the guest, and as it was before when the process
/// ends, however it ends.
///
/// What it takes to restore it lies where a signal handler may look.
enum Terminal {
  private struct Modes {
    var file: Int32 = -1
    var original = termios()
    var raw = termios()
  }

  nonisolated(unsafe) private static let modes: UnsafeMutablePointer<Modes> = {
    let modes = UnsafeMutablePointer<Modes>.allocate(capacity: 1)
    modes.initialize(to: Modes())
    return modes
  }()
  private static let rawness = Atomic<Bool>(false)
  /// Whether the terminal was restored for good.
  private static let isOver = Atomic<Bool>(false)

  /// Whether the terminal is the guest's now.
  static var isRaw: Bool { rawness.load(ordering: .relaxed) }

  /// Makes the terminal `file` raw; false, and nothing changed, if it belongs to another job now or cannot be made so.
  static func makeRaw(_ file: Int32) -> Bool {
    guard isForeground(file), tcgetattr(file, &modes.pointee.original) == 0 else { return false }
    modes.pointee.file = file
    modes.pointee.raw = raw(modes.pointee.original)
    DeadlySignals.catch { Terminal.restoreNow() }
    atexit { Terminal.restoreNow() }
    return enter()
  }

  /// Makes the terminal raw again after the process was stopped, which gave it to the shell.
  static func resume() {
    guard modes.pointee.file >= 0, isForeground(modes.pointee.file) else { return }
    DeadlySignals.watch(SIGTSTP)
    _ = enter()
  }

  /// Makes the terminal what it was, for good.
  static func restore() {
    isOver.store(true, ordering: .relaxed)
    restoreNow()
  }

  /// Whether this process may use the terminal `file`: no other job of its session has it.
  static func isForeground(_ file: Int32) -> Bool {
    let group = tcgetpgrp(file)
    return group < 0 || group == getpgrp()
  }

  private static func enter() -> Bool {
    guard !isOver.load(ordering: .relaxed) else { return false }
    rawness.store(true, ordering: .relaxed)
    return tcsetattr(modes.pointee.file, TCSANOW, &modes.pointee.raw) == 0
  }

  /// Safe in a signal handler.
  private static func restoreNow() {
    guard rawness.exchange(false, ordering: .relaxed), isForeground(modes.pointee.file) else { return }
    _ = tcsetattr(modes.pointee.file, TCSANOW, &modes.pointee.original)
  }

  /// Every byte as it is typed, at once, and no signals. What is written keeps its processing, for messages of ours.
  private static func raw(_ modes: termios) -> termios {
    var modes = modes
    cfmakeraw(&modes)
    modes.c_oflag |= tcflag_t(OPOST)
    return modes
  }
}

/// The signals that end or stop a process without its consent.
private enum DeadlySignals {
  private static let numbers = [
    SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU,
    SIGXFSZ,
    SIGSYS, SIGTSTP,
  ]
  /// What was to be done at each signal before, by its number.
  nonisolated(unsafe) private static let previous: UnsafeMutablePointer<sigaction> = {
    let actions = UnsafeMutablePointer<sigaction>.allocate(capacity: 65)
    actions.initialize(repeating: sigaction(), count: 65)
    return actions
  }()
  nonisolated(unsafe) private static var lastWill: @convention(c) () -> Void = {}

  nonisolated(unsafe) private static var handler: @convention(c) (Int32) -> Void = { number in
    DeadlySignals.lastWill()
    sigaction(number, DeadlySignals.previous + Int(number), nil)
    raise(number)
  }

  /// Has `lastWill` called before one of them takes its course. It has to be safe in a signal handler.
  static func `catch`(_ lastWill: @escaping @convention(c) () -> Void) {
    self.lastWill = lastWill
    for number in numbers { watch(number) }
  }

  /// Watches `number`, unless that is done or it is ignored.
  static func watch(_ number: Int32) {
    var current = sigaction()
    var ours = sigaction()
    ours.__sigaction_handler.sa_handler = handler
    guard sigaction(number, nil, &current) == 0, address(of: current) != address(of: ours),
      address(of: current) != unsafeBitCast(SIG_IGN, to: Int.self)
    else { return }
    previous[Int(number)] = current
    sigaction(number, &ours, nil)
  }

  private static func address(of action: sigaction) -> Int {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
  }
}
