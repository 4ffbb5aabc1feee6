import Platform
import Processor
import Trace
import VMX
import X86

/// The virtual CPUs of a machine, which take turns on its one processor.
///
/// The order is fixed: whose turn is over is followed by the next in number that has something to do. A turn ends after
/// ``turnCycles`` of virtual time, or sooner when the guest waits or spins. While virtual CPUs send each other
/// interrupts, turns are short, so that the one that waits for an answer does not wait for a whole turn; they grow
/// again when none is sent. When all wait, virtual time jumps to the next deadline of a device. Two equal runs are
/// equal in this, too.
struct VirtualProcessors<P: VMXProcessor>: ~Copyable {
  /// The virtual time of one turn, in cycles.
  static var turnCycles: UInt64 { 50_000 }
  /// The virtual time of a turn after an interprocessor interrupt.
  static var shortTurnCycles: UInt64 { 2_000 }
  /// The deadlines in a row that may pass without waking anybody, as of a timer whose interrupt is masked everywhere.
  private static var idleLimit: Int { 1 << 20 }

  let processor: P
  let clock: UnsafeMutablePointer<VirtualClock>
  let cpus: UnsafeMutablePointer<VirtualCPU<P>>
  private(set) var count = 0
  /// The virtual time that passed while all waited.
  private(set) var idleCycles: UInt64 = 0
  private let capacity: Int
  /// Of each virtual CPU what the processor and the registers held when its last turn ended.
  private let contexts: UnsafeMutableRawPointer
  private let registers: UnsafeMutablePointer<RegisterFile>
  private let contextStride: Int
  /// Whose state the processor holds.
  private var current = 0

  init(_ processor: P, count capacity: Int) {
    self.processor = processor
    self.capacity = capacity
    clock = processor.clock
    cpus = .allocate(capacity: capacity)
    registers = .allocate(capacity: capacity)
    registers.initialize(repeating: RegisterFile(), count: capacity)
    contextStride = (processor.contextSize + 63) & ~63
    contexts = .allocate(byteCount: contextStride * capacity, alignment: 64)
  }

  deinit {
    cpus.deinitialize(count: count)
    cpus.deallocate()
    registers.deallocate()
    contexts.deallocate()
  }

  /// Adds the next virtual CPU. All but the first begin waiting for a start-up IPI.
  mutating func append(_ cpu: consuming VirtualCPU<P>) {
    guard count < capacity else { return }
    (cpus + count).initialize(to: cpu)
    if count > 0 {
      cpus[count].wait = .startUp
      registers[count].rdx = cpus[count].resetSignature
    }
    processor.saveContext(to: context(count))
    count += 1
  }

  private func context(_ number: Int) -> UnsafeMutableRawPointer { contexts + contextStride * number }

  /// Runs until the machine ends, or is stopped as `stop` says.
  mutating func run(_ devices: MachineDevices, _ stop: StopRequest) -> RunEnd {
    var length = Self.turnCycles
    var sent = devices.attention.pointee.interprocessorCount
    while true {
      let end = count > 1 ? clock.pointee.cycles &+ length : UInt64.max
      length = min(length &* 2, Self.turnCycles)
      switch cpus[current].takeTurn(until: end) {
      // Nobody asked for the end: the processor was stopped for the sake of what was typed.
      case .ended(.stoppedBy(.requested)) where stop.reason == nil:
        devices.noteTyped()
        continue
      case .ended(let end): return end
      case .yields, .waits: break
      }
      if sent != devices.attention.pointee.interprocessorCount {
        sent = devices.attention.pointee.interprocessorCount
        length = Self.shortTurnCycles
      }
      if let next = nextReady() {
        change(to: next)
      } else if let end = waitForEvent(devices, stop) {
        return end
      }
    }
  }

  /// The next virtual CPU that has something to do, the current one last.
  private func nextReady() -> Int? {
    for distance in 1...count {
      let number = (current + distance) % count
      if !cpus[number].isWaiting || cpus[number].canWake { return number }
    }
    return nil
  }

  /// Gives the processor to virtual CPU `next`.
  private mutating func change(to next: Int) {
    guard next != current else { return }
    processor.saveContext(to: context(current))
    registers[current] = processor.registers.pointee
    current = next
    processor.registers.pointee = registers[next]
    processor.restoreContext(from: context(next))
  }

  /// Lets time jump from deadline to deadline until somebody can go on; how the run ended if nobody ever can. While
  /// somebody may type, time passes as it does for them.
  private mutating func waitForEvent(_ devices: MachineDevices, _ stop: StopRequest) -> RunEnd? {
    let before = idleCycles
    // Whoever goes on has waited for all.
    defer { cpus[current].waited &+= idleCycles &- before }
    var jumps = 0
    while jumps < Self.idleLimit {
      devices.noteIdle()
      if stop.reason != nil { return .stoppedBy(.requested) }
      if giveToReady() { return nil }
      var deadline = devices.attention.pointee.deadline
      for number in 0..<count { deadline = min(deadline, cpus[number].wakeTime) }
      if let feed = devices.feed, feed.awaitsTyping, deadline != .max || isInterruptible {
        pass(until: feed.wait(until: deadline))
      } else if deadline != .max {
        pass(until: deadline)
        jumps += 1
      } else {
        break
      }
      devices.advance(to: clock.pointee.cycles)
      if devices.board.events.pending != nil || giveToReady() { return nil }
    }
    return .ended(cpus[0].halted)
  }

  /// Lets the virtual CPU that is next to go on have the processor, if there is one.
  private mutating func giveToReady() -> Bool {
    guard let next = nextReady() else { return false }
    change(to: next)
    return true
  }

  private mutating func pass(until time: UInt64) {
    let now = clock.pointee.cycles
    guard time > now else { return }
    idleCycles &+= time &- now
    clock.pointee.cycles = time
  }

  /// Whether an interrupt would end the waiting of some virtual CPU.
  private var isInterruptible: Bool {
    for number in 0..<count where cpus[number].isInterruptible { return true }
    return false
  }

  /// Ends what is open when the run has ended.
  mutating func finish() {
    for number in 0..<count { cpus[number].finish() }
  }
}

extension VirtualCPU {
  /// What EDX holds after INIT: the processor's signature.
  var resetSignature: UInt64 { UInt64(cpuid.result(leaf: CPUIDLeaf.features, subleaf: 0).eax) }

  /// The end of a run in which nothing can wake this virtual CPU.
  var halted: RunOutcome { .halted(level: level, rip: waitingRIP) }

  /// Closes the exit and the tree that the end of the run has cut short.
  mutating func finish() {
    closeExit(isCutShort: true)
    watch?.finish(isInL2: vmx.isInL2, vmcsSet)
    recorder?.finish()
    log.finish(at: clock.pointee.cycles)
  }
}
