/// What a machine's user types.
///
/// It is asked on the thread of the run alone, but for ``interrupt()``. Nothing is asked of it before the guest listens,
/// so a guest that never does takes nothing from whoever else reads the same file.
public protocol ConsoleInput: AnyObject, Sendable {
  /// The guest listens for the first time. From now on `wake` is called, on any thread, when something was typed in real
  /// time.
  func begin(wake: @escaping @Sendable () -> Void)

  /// Whether somebody types in real time. Otherwise all input is there, or soon will be, and the guest gets it at moments
  /// that repeat from run to run.
  var isLive: Bool { get }

  /// Whether there is no more, and never will be.
  var isAtEnd: Bool { get }

  /// The next bytes, at most `limit` (1 or more). In real time, what has been typed, maybe nothing. Otherwise up to and
  /// with the next end of a line; nothing only at the end, or if it took so long that the input has become live.
  func take(atMost limit: Int) -> [UInt8]

  /// Lets real time pass: `limit` of it, or, if that is nil, no end; less if something was typed, or
  /// ``interrupt()`` was called, which is then true.
  func wait(atMost limit: Duration?) -> Bool

  /// Ends ``take(atMost:)`` and ``wait(atMost:)``, now and from now on. Callable from any thread and from a signal handler.
  func interrupt()
}

/// What a guest was given of its user's input.
public struct ConsoleInputCount: Equatable, Sendable {
  public var bytes: UInt64 = 0
  /// Whether some of it came in real time, so that another run may differ.
  public var isLive = false

  public init() {}
}
