import Foundation
import Hypervisor
import NestedRig
import Synchronization
import Testing
import Trace
import VMX

/// Input that a test types: all of it is there from the start, or, live, a thread types it.
private final class TypedInput: ConsoleInput, Sendable {
  private struct State {
    var bytes: [UInt8]
    var isLive: Bool
    var hasBegun = false
    var wake: (@Sendable () -> Void)?
    var isInterrupted = false
  }

  private let state: Mutex<State>

  init(_ text: String, isLive: Bool = false) { state = Mutex(State(bytes: Array(text.utf8), isLive: isLive)) }

  var hasBegun: Bool { state.withLock(\.hasBegun) }
  var isLive: Bool { state.withLock(\.isLive) }
  var isAtEnd: Bool { state.withLock { $0.bytes.isEmpty && !$0.isLive } }

  func begin(wake: @escaping @Sendable () -> Void) {
    state.withLock {
      $0.hasBegun = true
      $0.wake = wake
    }
  }

  func type(_ text: String) {
    let wake = state.withLock { state in
      state.bytes += Array(text.utf8)
      return state.wake
    }
    wake?()
  }

  func take(atMost limit: Int) -> [UInt8] {
    state.withLock { state in
      let line = state.isLive ? nil : state.bytes.firstIndex(of: 10).map { $0 + 1 }
      let bytes = Array(state.bytes.prefix(min(limit, line ?? limit)))
      state.bytes.removeFirst(bytes.count)
      return bytes
    }
  }

  func wait(atMost limit: Duration?) -> Bool {
    let end = limit.map { ContinuousClock.now + $0 }
    while state.withLock({ $0.bytes.isEmpty && !$0.isInterrupted }) {
      if let end, end <= .now { return false }
      usleep(1000)
    }
    return true
  }

  func interrupt() { state.withLock { $0.isInterrupted = true } }
}

/// Guests that read their serial port, and what they get.
@Suite struct ConsoleTests {
  /// Echoes what it polls, and ends at '!'.
  private static let poller = """
      start
    1:
      movw $0x3FD, %dx
      inb %dx, %al
      testb $1, %al
      jz 1b
      movw $0x3F8, %dx
      inb %dx, %al
      outb %al, %dx
      cmpb $'!', %al
      jne 1b
      xorl %eax, %eax
      done
    """

  /// Echoes what it is interrupted for, waiting in HLT, and ends at '!'. `setUp` runs before the FIFO is emptied, as Linux
  /// does when it opens the port.
  private static func interrupted(_ setUp: String = "", wait: String = "hlt") -> String {
    """
      start
      gate 0x24, receive
      // Both 8259s, all lines but COM1's masked.
      .irp step, 0x1120, 0x2021, 0x0421, 0x0121, 0x11A0, 0x28A1, 0x02A1, 0x01A1, 0xEF21, 0xFFA1
        movb $(\\step >> 8), %al
        outb %al, $(\\step & 0xFF)
      .endr
      \(setUp)
      .irp step, 0x07FA, 0x0BFC, 0x01F9
        movw $(0x300 + (\\step & 0xFF)), %dx
        movb $(\\step >> 8), %al
        outb %al, %dx
      .endr
      sti
    1:
      \(wait)
      jmp 1b
    receive:
      pushq %rax
      pushq %rdx
    2:
      movw $0x3FD, %dx
      inb %dx, %al
      testb $1, %al
      jz 3f
      movw $0x3F8, %dx
      inb %dx, %al
      outb %al, %dx
      cmpb $'!', %al
      jne 2b
      xorl %eax, %eax
      done
    3:
      movb $0x20, %al
      outb %al, $0x20
      popq %rdx
      popq %rax
      iretq
    """
  }

  private func run(_ source: String, _ input: TypedInput) throws -> GuestRun {
    try runAssembly(source) {
      $0.consoleInput = input
      $0.instructionLimit = 2_000_000_000
    }
  }

  /// Calls `body` on a thread of its own as soon as the guest listens, if it ever does.
  private func whenListening(_ input: TypedInput, _ body: @escaping @Sendable () -> Void) {
    Thread.detachNewThread {
      let end = ContinuousClock.now + .seconds(60)
      while !input.hasBegun, ContinuousClock.now < end { usleep(5000) }
      if input.hasBegun { body() }
    }
  }

  private static let text = "one\ntwo, which is longer than a FIFO\n\nlast!"

  /// A guest that polls, one that waits, and one that is busy all the time.
  @Test(
    arguments: [
      (ConsoleTests.poller, ConsoleTests.text), (ConsoleTests.interrupted(), ConsoleTests.text),
      (ConsoleTests.interrupted(wait: "nop"), "one, which is longer than a FIFO!"),
    ])
  func everyByteArrivesOnceAndTwoRunsAreEqual(_ source: String, _ text: String) throws {
    let runs = try (0..<2).map { _ in try run(source, TypedInput(text)) }
    #expect(runs[0].result.outcome == .guestReported(code: 0))
    #expect(runs[0].serial == text)
    #expect(runs[0].result.consoleInput.bytes == UInt64(text.utf8.count))
    #expect(!runs[0].result.consoleInput.isLive)
    #expect(runs[0].serial == runs[1].serial)
    #expect(runs[0].result.events == runs[1].result.events)
    #expect(runs[0].result.virtualCycles == runs[1].result.virtualCycles)
  }

  /// A guest that prints, waits and prints again, and then empties the FIFO: nothing was in it.
  @Test func inputWaitsUntilTheGuestListens() throws {
    let setUp = """
        movl $3000000, %ecx
      7:
        decl %ecx
        jnz 7b
        movw $0x3F8, %dx
        movb $'>', %al
        outb %al, %dx
      """
    let run = try run(Self.interrupted(setUp), TypedInput("abc!"))
    #expect(run.serial == ">abc!")
  }

  @Test func aGuestThatDoesNotListenTakesNothing() throws {
    let input = TypedInput("abc!")
    let run = try run(
      "start\n movw $0x3F8, %dx\n movb $'a', %al\n outb %al, %dx\n xorl %eax, %eax\n done", input)
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(!input.hasBegun)
    #expect(run.result.consoleInput.bytes == 0)
  }

  /// At the end of its input a guest goes on; one that waits for ever has then nothing to wake it.
  @Test func theRunGoesOnAtTheEndOfTheInput() throws {
    let run = try run(Self.interrupted(), TypedInput("abc"))
    #expect(run.serial == "abc")
    guard case .halted = run.result.outcome else {
      Issue.record("\(run.result.outcome)")
      return
    }
  }

  /// What somebody types wakes a guest that waits with no timer, and reaches one that is busy, in both cases without an
  /// exit of its own.
  @Test(arguments: ["hlt", "nop"])
  func typedInputReachesTheGuest(_ wait: String) throws {
    let input = TypedInput("", isLive: true)
    whenListening(input) {
      for part in ["a", "bc", "0123456789abcdefghijklmnopqrstuvwxyz", "!"] {
        usleep(20_000)
        input.type(part)
      }
    }
    let run = try run(Self.interrupted(wait: wait), input)
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(run.serial == "abc0123456789abcdefghijklmnopqrstuvwxyz!")
    #expect(run.result.consoleInput.isLive)
    #expect(run.result.exits.allSatisfy { $0.reason != ExitReason.externalInterrupt.rawValue })
  }

  /// A run that waits in real time for somebody to type can be ended.
  @Test func aStopEndsTheWaitForInput() throws {
    let input = TypedInput("", isLive: true)
    var configuration = MachineConfiguration(image: CodeImage(try Assembly.code(Self.interrupted())).image)
    configuration.bootProtocol = .entry64
    configuration.memorySize = 16 << 20
    configuration.consoleInput = input
    let machine = try softwareMachine(configuration)
    whenListening(input) {
      usleep(50_000)
      machine.requestStop(.timeout)
    }
    #expect(machine.run().outcome == .stopped(.timeout))
  }
}
