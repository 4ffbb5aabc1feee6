import Platform
import Processor

/// The machine's virtual time, as its devices see it.
final class VirtualTime: MachineTime {
  private let clock: UnsafeMutablePointer<VirtualClock>
  let frequency: UInt64

  init(_ clock: UnsafeMutablePointer<VirtualClock>, frequency: UInt64) {
    self.clock = clock
    self.frequency = max(frequency, 1)
  }

  var cycles: UInt64 { clock.pointee.cycles }
}

/// The board of a machine as the virtual CPUs use it: they tell it of every access that may have changed what a device
/// wants, so that between two exits that concern no device nobody is asked.
final class MachineDevices {
  /// What the run loop looks at before each VM entry.
  struct Attention {
    /// Grows whenever a device may have changed what it asks of a processor.
    var generation: UInt64 = 1
    /// The cycle at which a device acts next.
    var deadline: UInt64 = .max
    /// The IPIs that were sent to other processors.
    var interprocessorCount: UInt64 = 0
  }

  let board: Board
  let attention: UnsafeMutablePointer<Attention>
  /// What the user types; nil if nobody does.
  private(set) var feed: ConsoleFeed?
  private let consoles: [any ConsolePort]

  init(_ configuration: BoardConfiguration, clock: UnsafeMutablePointer<VirtualClock>, frequency: UInt64) {
    board = Board(configuration, time: VirtualTime(clock, frequency: frequency))
    consoles = configuration.virtioDevices.compactMap { $0 as? VirtioConsole } + [board.serial]
    attention = .allocate(capacity: 1)
    attention.initialize(to: Attention(deadline: board.nextDeadline))
  }

  deinit { attention.deallocate() }

  /// Lets the guest have `input`; `machine`, once woken, calls ``noteTyped()``.
  func connect(_ input: any ConsoleInput, waking machine: any WakeableMachine) {
    feed = ConsoleFeed(input, ports: consoles, time: board.time, waking: machine)
  }

  /// A device was accessed.
  func noteAccess() {
    feed?.noteAccess()
    noteChange()
  }

  /// Lets the devices do what is due at `now`.
  func advance(to now: UInt64) {
    board.advance(to: now)
    feed?.advance(to: now)
    noteAccess()
  }

  /// Every virtual CPU waits.
  func noteIdle() {
    guard let feed else { return }
    feed.noteIdle()
    noteChange()
  }

  /// Something was typed in real time.
  func noteTyped() {
    feed?.noteTyped()
    noteChange()
  }

  private func noteChange() {
    attention.pointee.generation &+= 1
    attention.pointee.interprocessorCount = board.bus.interprocessorCount
    attention.pointee.deadline = min(board.nextDeadline, feed?.deadline ?? .max)
  }
}
