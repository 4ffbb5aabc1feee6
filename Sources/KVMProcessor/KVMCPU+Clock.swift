import CKVM
import Glibc

// How the clock passes while the virtual CPU runs, whose instructions nobody counts.
//
// It is taken to have been the shortest way through the code from where a run began to where it ended, which is exact where
// there is one way only. Of a loop that a tick interrupts the length is guessed, by its time; but a guess never decides that
// a guest's instructions are used up, nor leads behind a deadline.
extension KVMCPU {
  /// So many instructions before the instruction limit are counted one by one.
  private static var exactInstructions: UInt64 { 1024 }
  /// So many cycles before a deadline, which take less time one by one than the way into KVM and back.
  private static var exactCycles: UInt64 { 64 }
  /// The part of what is left to the instruction limit that one guess may take.
  private static var greatestPart: UInt64 { 8 }

  /// Whether an end is near that has to be met exactly, so that the software processor executes what is left.
  var isNearEnd: Bool {
    // Between two steps the clock is exact.
    guard intercepts != .stepped else { return false }
    return instructionsLeft <= Self.exactInstructions || cyclesLeft <= Self.exactCycles
  }

  /// How many instructions the software processor executes at once because of it.
  var exactTurn: UInt64 {
    guard isNearEnd else { return 0 }
    return instructionsLeft <= Self.exactInstructions ? instructionsLeft : cyclesLeft
  }

  private var instructionsLeft: UInt64 {
    let clock = clock
    return clock.pointee.instructionLimit &- min(clock.pointee.instructionLimit, clock.pointee.instructions)
  }

  /// The cycles to the next deadline.
  var cyclesLeft: UInt64 {
    let deadline = software.hostedDeadline
    return deadline &- min(deadline, clock.pointee.cycles)
  }

  func pass(_ instructions: UInt64) {
    clock.pointee.instructions &+= instructions
    clock.pointee.cycles &+= instructions
  }

  /// Enters the virtual CPU, and takes the time of a run that a tick interrupts.
  func enter(_ machine: KVMVirtualMachine) -> Int32 {
    count { $0.runs &+= 1 }
    guard intercepts != .stepped else { return machine.enter() }
    let start = ckvm_time()
    let error = machine.enter()
    interruptedAfter = error == EINTR ? ckvm_time() &- start : nil
    return error
  }

  /// Lets the time pass of a run in `code` that began at `start`, where RIP was `rip`: of the shortest way through the code
  /// from there to RIP, or of a loop in which a tick interrupted it. Returns whether the guest has got on, as far as is known.
  func countPassed(_ code: CodePage, from start: Int, rip: UInt64) -> Bool {
    let end = Int64(start) &+ Int64(bitPattern: software.hostedRIP &- rip)
    let shortest = 0..<Int64(CodePage.size) ~= end ? code.shortestWay(from: start, to: Int(end)) : 1
    guard let time = interruptedAfter else {
      pass(shortest)
      return true
    }
    interruptedAfter = nil
    guard code.mayLoop(from: start) else {
      pass(shortest)
      return shortest > 0
    }
    let greatest = min(instructionsLeft / Self.greatestPart, cyclesLeft)
    pass(max(1, shortest, min(guess(time), greatest)))
    return true
  }

  /// How many instructions of a loop fit in a run of so many nanoseconds, of which the processor may have been given to
  /// others.
  private func guess(_ time: UInt64) -> UInt64 {
    let threadTime = ckvm_thread_time()
    let used = min(time, 2 * tick, threadTime &- threadTimeOfGuess)
    threadTimeOfGuess = threadTime
    return UInt64(
      max(0, Double(used) - 2 * calibration.nanosecondsPerRun) / calibration.nanosecondsPerInstruction)
  }
}
