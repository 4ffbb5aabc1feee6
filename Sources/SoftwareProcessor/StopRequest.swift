import Synchronization

/// The request to end a run, which any thread may make. A trivial value that refers to one flag.
struct StopRequest: @unchecked Sendable {
  private let flag: UnsafeMutablePointer<Atomic<Bool>>

  init() {
    flag = .allocate(capacity: 1)
    flag.initialize(to: Atomic(false))
  }

  func deallocate() {
    flag.deinitialize(count: 1)
    flag.deallocate()
  }

  func make() { flag.pointee.store(true, ordering: .relaxed) }

  /// Whether a request waits to be taken.
  var isMade: Bool { flag.pointee.load(ordering: .relaxed) }

  /// Whether a request has been made since the last call.
  func take() -> Bool {
    guard flag.pointee.load(ordering: .relaxed) else { return false }
    return flag.pointee.exchange(false, ordering: .relaxed)
  }
}
