import Foundation
import Hypervisor
import Synchronization

/// Standard input as a guest's console: a terminal, a pipe, or a file.
///
/// A file is read as the guest takes it. A terminal or pipe is read by a thread, ahead by a bounded amount, and not before
/// the guest listens. A pipe counts as a file as long as its next line is there when the guest wants it, or a little
/// later; a slower one has somebody behind it who answers what the guest says, and counts as a terminal from then on.
final class StandardInput: ConsoleInput, Sendable {
  enum Kind {
    case terminal
    case pipe
    case file
  }

  /// What is read ahead.
  private static let aheadLimit = 1 << 16
  private static let chunk = 4096
  /// How long a pipe's next line is waited for.
  private static let patience = Duration.seconds(2)

  private struct State {
    var bytes: [UInt8] = []
    var hasEnded = false
    var wake: (@Sendable () -> Void)?
  }

  private let file: Int32
  private let kind: Kind
  /// Passes on what the guest wrote, before somebody is waited for who may answer it. Called on the thread of the run.
  private let flush: @Sendable () -> Void
  /// Ends the run, as the user asks for.
  private let leave: @Sendable () -> Void
  private let state = Mutex(State())
  private let live: Atomic<Bool>
  private let isInterrupted = Atomic<Bool>(false)
  /// Rings when there is something new for the run's thread.
  private let news: Bell
  /// Rings when the reading thread may go on.
  private let room: Bell

  /// Nil if the host refuses what it takes.
  init?(_ file: Int32, flush: @escaping @Sendable () -> Void, leave: @escaping @Sendable () -> Void) {
    guard let news = Bell(), let room = Bell() else { return nil }
    self.file = file
    self.kind = Self.kind(of: file)
    self.flush = flush
    self.leave = leave
    self.news = news
    self.room = room
    live = Atomic(kind == .terminal)
  }

  private static func kind(of file: Int32) -> Kind {
    if isatty(file) == 1 { return .terminal }
    var status = stat()
    guard fstat(file, &status) == 0 else { return .file }
    let type = status.st_mode & S_IFMT
    return type == S_IFIFO || type == S_IFSOCK ? .pipe : .file
  }

  // MARK: The run's thread

  func begin(wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
    if kind != .file { Thread.detachNewThread { [self] in readAhead() } }
  }

  var isLive: Bool { live.load(ordering: .relaxed) }
  var isAtEnd: Bool { state.withLock { $0.hasEnded && $0.bytes.isEmpty } }

  func take(atMost limit: Int) -> [UInt8] {
    if isLive { return takeTyped(limit) }
    let deadline = ContinuousClock.now + Self.patience
    while !isInterrupted.load(ordering: .relaxed) {
      if kind == .file { readOnce(limit) }
      if let line = takeLine(limit) { return line }
      let left = deadline - ContinuousClock.now
      guard left > .zero else {
        live.store(true, ordering: .relaxed)
        break
      }
      flush()
      _ = news.wait(atMost: left)
    }
    return []
  }

  func wait(atMost limit: Duration?) -> Bool {
    flush()
    return isInterrupted.load(ordering: .relaxed) || news.wait(atMost: limit)
  }

  func interrupt() {
    isInterrupted.store(true, ordering: .relaxed)
    news.ring()
  }

  private func takeTyped(_ limit: Int) -> [UInt8] {
    let (bytes, isAtEnd) = state.withLock { state in
      let bytes = Array(state.bytes.prefix(limit))
      state.bytes.removeFirst(bytes.count)
      return (bytes, state.hasEnded && state.bytes.isEmpty)
    }
    if isAtEnd { live.store(false, ordering: .relaxed) }
    room.ring()
    return bytes
  }

  /// The next line, or the rest at the end of the input; nil if the line's end has yet to come.
  private func takeLine(_ limit: Int) -> [UInt8]? {
    let line: [UInt8]? = state.withLock { state in
      let end = state.bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 }
      guard let count = end ?? (state.hasEnded || state.bytes.count >= limit ? state.bytes.count : nil) else {
        return nil
      }
      let line = Array(state.bytes.prefix(min(count, limit)))
      state.bytes.removeFirst(line.count)
      return line
    }
    if line != nil { room.ring() }
    return line
  }

  // MARK: Reading

  /// Reads a file until it has a line or `limit` bytes, or ends.
  private func readOnce(_ limit: Int) {
    let needsMore = state.withLock { state in
      !state.hasEnded && state.bytes.count < limit && !state.bytes.contains(UInt8(ascii: "\n"))
    }
    if needsMore { add(readBytes()) }
  }

  /// The thread that reads a terminal or a pipe.
  private func readAhead() {
    if kind == .terminal { takeTerminal() }
    var keys = ConsoleKeys()
    while true {
      while state.withLock({ $0.bytes.count >= Self.aheadLimit }) { _ = room.wait(atMost: nil) }
      while kind == .terminal, !Terminal.isForeground(file) { usleep(200_000) }
      let bytes = readBytes()
      add(kind == .terminal ? bytes.map { keys.filter($0, obey) } : bytes)
      if bytes == nil { return }
    }
  }

  /// Waits until no other job has the terminal, and makes it the guest's.
  private func takeTerminal() {
    while !Terminal.isForeground(file) { usleep(200_000) }
    guard Terminal.makeRaw(file) else { return }
    Output.progress("testudo: the keyboard is the guest's now; Ctrl-A X ends the run, Ctrl-A H helps")
  }

  private func obey(_ command: ConsoleKeys.Command) {
    switch command {
    case .leave: leave()
    case .help: Output.progress("\n" + ConsoleKeys.help)
    }
  }

  /// The next bytes, waited for; nil at the end.
  private func readBytes() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: Self.chunk)
    while true {
      let count = read(file, &bytes, bytes.count)
      if count > 0 { return Array(bytes.prefix(count)) }
      guard count < 0, errno == EINTR || errno == EAGAIN else { return nil }
      var place = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
      if errno == EAGAIN { _ = poll(&place, 1, -1) }
    }
  }

  /// Adds what was read; nil is the end.
  private func add(_ bytes: [UInt8]?) {
    let wake = state.withLock { state in
      if let bytes { state.bytes += bytes } else { state.hasEnded = true }
      return state.wake
    }
    news.ring()
    if isLive, bytes?.isEmpty != true { wake?() }
  }
}
