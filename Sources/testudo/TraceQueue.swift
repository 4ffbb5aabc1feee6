import Foundation
import Synchronization
import Trace

/// Takes a trace from the thread of a run to one that writes it, in its order, so that the run pays for filling a block
/// and no more.
///
/// The thread looks for pieces from time to time instead of being woken, which would cost the run a system call each.
/// When it does not keep up, the run waits: no exit is lost, and memory is bounded.
final class TraceQueue: Sendable {
  /// The pieces that wait at the most.
  static let limit = 64
  /// How long the thread sleeps when there is nothing to do, in microseconds: at first, and at the most.
  private static let sleeps: (first: UInt32, most: UInt32) = (250, 4000)

  /// What is taken over.
  enum Piece: @unchecked Sendable {
    /// Events, in a chunk that is used again.
    case events(UnsafeMutablePointer<ExitEvent>, count: Int)
    /// A block of a binary trace, which is used again.
    case block(UnsealedBlock)
    case bytes([UInt8])
  }

  private struct State: @unchecked Sendable {
    var waiting: [Piece] = []
    var freeChunks: [UnsafeMutablePointer<ExitEvent>] = []
    var freeBlocks: [UnsealedBlock] = []
    var isOver = false
  }

  private let state = Mutex(State())
  private let ended = DispatchSemaphore(value: 0)
  private let receive: @Sendable (borrowing Piece) -> Void

  /// `receive` gets each piece on the queue's thread; the memory of events is valid during the call only.
  init(receive: @escaping @Sendable (borrowing Piece) -> Void) { self.receive = receive }

  deinit {
    state.withLock { state in
      for chunk in state.freeChunks { chunk.deallocate() }
      for block in state.freeBlocks { block.deallocate() }
    }
  }

  /// Starts the thread.
  func begin() { Thread.detachNewThread { [self] in work() } }

  /// Takes a chunk over and returns an empty one, as ``TraceMode/handedOver(exchange:)`` demands.
  func exchange(_ chunk: UnsafeMutablePointer<ExitEvent>, _ count: Int) -> UnsafeMutablePointer<ExitEvent> {
    put(.events(chunk, count: count))
    return state.withLock { $0.freeChunks.popLast() } ?? .allocate(capacity: ExitLog.chunkCapacity)
  }

  /// Takes a block over and returns an empty one.
  func exchange(_ block: UnsealedBlock) -> UnsealedBlock {
    put(.block(block))
    return state.withLock { $0.freeBlocks.popLast() } ?? .allocate()
  }

  /// Takes a piece over; waits while there are too many.
  func put(_ piece: Piece) {
    while !state.withLock({ state in
      guard state.waiting.count < Self.limit else { return false }
      state.waiting.append(piece)
      return true
    }) {
      usleep(Self.sleeps.first)
    }
  }

  /// Returns when everything has been received.
  func finish() {
    state.withLock { $0.isOver = true }
    ended.wait()
  }

  private func work() {
    var sleep = Self.sleeps.first
    while true {
      let (pieces, isOver) = state.withLock { state in
        let pieces = state.waiting
        state.waiting.removeAll(keepingCapacity: true)
        return (pieces, state.isOver)
      }
      for piece in pieces { handle(piece) }
      guard pieces.isEmpty else {
        sleep = Self.sleeps.first
        continue
      }
      if isOver { break }
      usleep(sleep)
      sleep = min(2 * sleep, Self.sleeps.most)
    }
    ended.signal()
  }

  private func handle(_ piece: Piece) {
    receive(piece)
    switch piece {
    case .events(let chunk, _): state.withLock { $0.freeChunks.append(chunk) }
    case .block(let block): state.withLock { $0.freeBlocks.append(block) }
    case .bytes: break
    }
  }
}
