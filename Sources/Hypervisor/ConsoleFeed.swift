import Platform

/// A machine whose run can be made to look at what was typed.
protocol WakeableMachine: AnyObject, Sendable {
  /// Callable from any thread.
  func wake()
}

/// Hands what the machine's user types to the console that the guest listens to, and nothing to one that does not listen.
///
/// What is typed in real time goes to the guest at once. Other input is typed as a person would who waits for the prompt: a
/// line at a time, when the guest has taken the line before and waits in silence, or polls for input, or, if it does
/// neither, after some patience. These moments are of virtual time, so two equal runs are equal.
final class ConsoleFeed {
  /// The greatest number of bytes typed at once, where no line ends.
  private static let lineLimit = 1024
  /// How long a guest that waits for events has been silent before it gets the next line, in 1/s of virtual time.
  private static let silencesPerSecond: UInt64 = 10
  /// The same for one that is busy.
  private static let patiencesPerSecond: UInt64 = 2

  private let input: any ConsoleInput
  /// The consoles, the preferred one first.
  private let ports: [any ConsolePort]
  private let time: any MachineTime
  private weak var machine: (any WakeableMachine)?
  private let silence: UInt64
  private let patience: UInt64
  private var hasBegun = false
  private var isOver = false
  /// Whether something may have been typed in real time that was not taken.
  private var mayHaveMore = false
  /// What was taken from the input, and not yet given to the guest.
  private var pending: ArraySlice<UInt8> = []
  private var activity: UInt64 = 0
  private var silentSince: UInt64 = 0
  /// The virtual time at which to look again, or `.max`.
  private(set) var deadline = UInt64.max
  private(set) var count = ConsoleInputCount()

  /// `machine` is woken for live input.
  init(
    _ input: any ConsoleInput, ports: [any ConsolePort], time: any MachineTime,
    waking machine: any WakeableMachine
  ) {
    self.input = input
    self.ports = ports
    self.time = time
    self.machine = machine
    silence = time.frequency / Self.silencesPerSecond
    patience = time.frequency / Self.patiencesPerSecond
  }

  /// Whether the guest can be given what somebody may type in real time.
  var awaitsTyping: Bool { hasBegun && !isOver && input.isLive && listener != nil }

  private var listener: (any ConsolePort)? {
    for port in ports where port.isListening { return port }
    return nil
  }

  // MARK: Moments

  /// A device was accessed.
  func noteAccess() {
    guard !isOver else { return }
    guard let port = listener else {
      deadline = .max
      return
    }
    if !hasBegun { begin() }
    noteActivity()
    give(to: port)
    guard pending.isEmpty else { return }
    if input.isLive {
      if mayHaveMore { takeLive(for: port) }
    } else if port.isPolledInVain {
      takeLine(for: port)
    } else {
      deadline = silentSince &+ patience
    }
  }

  /// Every virtual CPU waits.
  func noteIdle() {
    guard hasBegun, !isOver, let port = listener else { return }
    guard !input.isLive else { return takeLive(for: port) }
    deadline = .max
    guard pending.isEmpty, port.isDrained else { return give(to: port) }
    let end = silentSince &+ silence
    if time.cycles >= end { takeLine(for: port) } else { deadline = end }
  }

  /// Virtual time has come to `now`.
  func advance(to now: UInt64) {
    guard deadline <= now else { return }
    deadline = .max
    guard !isOver, !input.isLive, let port = listener else { return }
    if now >= silentSince &+ patience { takeLine(for: port) } else { deadline = silentSince &+ patience }
  }

  /// Something was typed in real time.
  func noteTyped() {
    mayHaveMore = true
    if hasBegun, !isOver, let port = listener { takeLive(for: port) }
  }

  // MARK: Bytes

  private func begin() {
    hasBegun = true
    silentSince = time.cycles
    let machine = machine
    input.begin { [weak machine] in machine?.wake() }
  }

  private func noteActivity() {
    let sum = ports.reduce(0) { $0 &+ $1.activity }
    guard sum != activity else { return }
    activity = sum
    silentSince = time.cycles
  }

  /// Types the next line, if the one before was taken.
  private func takeLine(for port: any ConsolePort) {
    silentSince = time.cycles
    deadline = silentSince &+ patience
    guard pending.isEmpty, port.isDrained else { return give(to: port) }
    take(for: port)
    if input.isLive { takeLive(for: port) }
  }

  private func takeLive(for port: any ConsolePort) {
    deadline = .max
    mayHaveMore = true
    give(to: port)
    while pending.isEmpty, port.room > 0, mayHaveMore, !isOver { take(for: port) }
  }

  private func take(for port: any ConsolePort) {
    let isLive = input.isLive
    let bytes = input.take(atMost: Self.lineLimit)
    mayHaveMore = !bytes.isEmpty
    pending = bytes[...]
    count.bytes &+= UInt64(bytes.count)
    if isLive, !bytes.isEmpty { count.isLive = true }
    give(to: port)
    guard bytes.isEmpty, input.isAtEnd else { return }
    isOver = true
    deadline = .max
  }

  private func give(to port: any ConsolePort) {
    guard !pending.isEmpty else { return }
    let part = pending.prefix(max(0, port.room))
    guard !part.isEmpty else { return }
    port.receive(part)
    pending = pending.dropFirst(part.count)
    if pending.isEmpty { pending = [] }
  }
}

extension ConsoleFeed {
  /// Lets real time pass while every virtual CPU waits for input or for virtual time `deadline` (`.max` for none); returns
  /// the virtual time of the wait's end.
  func wait(until deadline: UInt64) -> UInt64 {
    let now = time.cycles
    guard deadline > now else { return now }
    let frequency = Double(time.frequency)
    let limit = deadline == .max ? nil : Duration.seconds(Double(deadline &- now) / frequency)
    let start = ContinuousClock.now
    guard input.wait(atMost: limit) else { return deadline }
    let passed = (ContinuousClock.now - start).components
    let seconds = Double(passed.seconds) + Double(passed.attoseconds) * 1e-18
    return min(deadline, now &+ UInt64(seconds * frequency))
  }
}
