import CostModel
import ExitAnalysis
import Hypervisor
import NestedRig
import Testing
import Trace
import VMX

/// Several virtual CPUs, with bare code as L1.
@Suite struct MultiprocessorTests {
  /// L1's bootstrap processor starts the others with code at 8000H, which each count themselves at 500H in real-address
  /// mode and halt.
  private static let counting = """
      start
      leaq trampoline(%rip), %rsi
      movl $0x8000, %edi
      movl $(trampoline_end - trampoline), %ecx
      rep movsb
      movl $APIC, %ebx
      movl $0xC4500, 0x300(%rbx)      // INIT to all but itself
      movl $0xC4608, 0x300(%rbx)      // start-up at 8000H
      movl $0xC4608, 0x300(%rbx)
      movl $200000, %ecx
    1:
      pause
      cmpw $COUNT, 0x500
      je 2f
      loop 1b
    2:
      movzwl 0x500, %eax
      subl $COUNT, %eax
      done
      .code16
    trampoline:
      lock incw 0x500
      cli
      hlt
    trampoline_end:
      .code64
    """

  @Test(arguments: [2, 3, 8]) func startUpIPIsStartTheOthers(_ count: Int) throws {
    let run = try runAssembly(".set COUNT, \(count - 1)\n" + Self.counting) { $0.processorCount = count }
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(run.result.processors.map(\.number) == Array(0..<count))
    #expect(run.result.processors.dropFirst().allSatisfy { $0.instructions == 2 })
    let exits = run.result.processors.reduce(0) { $0 + $1.exits }
    #expect(exits == UInt64(run.result.events.count))
    #expect(Set(run.result.events.map(\.processor)) == Set((0..<count).map(UInt8.init)))
  }

  @Test func severalProcessorsAreDeterministic() throws {
    let runs = try (0..<2).map { _ in
      try runAssembly(".set COUNT, 3\n" + Self.counting) { $0.processorCount = 4 }
    }
    #expect(runs[0].result.events == runs[1].result.events)
    #expect(runs[0].result.virtualCycles == runs[1].result.virtualCycles)
  }

  /// The phases of a run of several processors add up to its virtual time, and each processor's own are the
  /// instructions that it retired, and its page walks.
  @Test func phasesOfSeveralProcessorsAddUp() throws {
    let run = try runAssembly(".set COUNT, 3\n" + Self.counting) { $0.processorCount = 4 }
    let result = run.result
    let prices = CostTable.reference.prices
    var phases = PhaseBreakdown(prices)
    // The log of each processor comes after that of the one before.
    for event in result.events { phases.add(event) }
    phases.finish(at: result.virtualCycles)
    #expect(phases.total == result.virtualCycles)
    #expect(phases[.idle] == result.idleCycles)
    #expect(phases.processors.count == 4)
    for (own, count) in zip(phases.processors, result.processors) {
      #expect(own.total == result.virtualCycles)
      let references = result.events.reduce(UInt64(0)) {
        $0 + (Int($1.processor) == count.number ? UInt64($1.work.walkReferences) : 0)
      }
      #expect(own[.l1] == count.instructions + references * prices.pageWalkReference)
    }
  }

  /// Two processors take a lock in turn, each thousand times; nothing is lost, and nobody starves.
  @Test func aSpinLockIsAFairTurn() throws {
    let run = try runAssembly(
      """
        .set LOCK, 0x500
        .set SUM, 0x508
        .set READY, 0x510
        start
        leaq trampoline(%rip), %rsi
        movl $0x8000, %edi
        movl $(trampoline_end - trampoline), %ecx
        rep movsb
        movl $APIC, %ebx
        movl $0xC4500, 0x300(%rbx)
        movl $0xC4608, 0x300(%rbx)
        movl $1000, %ecx
      1:
        movl $1, %eax
        xchgl %eax, LOCK
        testl %eax, %eax
        jz 2f
        pause
        jmp 1b
      2:
        incl SUM
        movl $0, LOCK
        decl %ecx
        jnz 1b
      3:
        pause
        cmpl $1, READY
        jne 3b
        movl SUM, %eax
        subl $2000, %eax
        done
        .code16
      trampoline:
        movl $1000, %ecx
      1:
        movl $1, %eax
        xchgl %eax, LOCK
        testl %eax, %eax
        jz 2f
        pause
        jmp 1b
      2:
        incl SUM
        movl $0, LOCK
        decl %ecx
        jnz 1b
        movl $1, READY
        cli
        hlt
      trampoline_end:
        .code64
      """
    ) { $0.processorCount = 2 }
    #expect(run.result.outcome == .guestReported(code: 0))
  }

  /// A store by one processor ends the MWAIT of another, and an interrupt between processors its HLT; each has
  /// registers and vector registers of its own.
  @Test func processorsWakeEachOther() throws {
    let run = try runAssembly(
      """
        .set LINE, 0x600
        start
        gate 0x50, woken
        leaq trampoline(%rip), %rsi
        movl $0x8000, %edi
        movl $(trampoline_end - trampoline), %ecx
        rep movsb
        movl $APIC, %ebx
        movl $0x12345678, %ebp
        movl $0xC4500, 0x300(%rbx)
        movl $0xC4608, 0x300(%rbx)
        // HLT until the other sends interrupt 50H.
        sti
        hlt
        cli
        // The other waits for this line.
        movl $1, LINE
        movl $100000, %ecx
      1:
        pause
        cmpl $2, LINE
        je 2f
        loop 1b
      2:
        movl LINE, %eax
        subl $2, %eax
        subl $0x12345679, %ebp
        orl %ebp, %eax
        done
      woken:
        incl %ebp
        movl $0, 0xB0(%rbx)
        iretq
        .code16
      trampoline:
        // Unreal mode reaches the local APIC's page.
        lgdtl %cs:(gdt_pointer - trampoline)
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        movw $8, %cx
        movw %cx, %ds
        andb $0xFE, %al
        movl %eax, %cr0
        movl $APIC, %ebx
        movl $0, %eax
        movl %eax, %ebp
        movl %eax, 0x310(%ebx)
        movl $0x4050, %eax
        movl %eax, 0x300(%ebx)
        movl $LINE, %eax
        xorl %ecx, %ecx
        xorl %edx, %edx
        monitor
        cmpl $0, LINE
        jne 3f
        xorl %eax, %eax
        mwait
      3:
        movl $2, LINE
        cli
        hlt
        .balign 8
      gdt:
        .quad 0
        .quad 0x00CF93000000FFFF
      gdt_pointer:
        .word 15
        .long 0x8000 + gdt - trampoline
      trampoline_end:
        .code64
      """
    ) { $0.processorCount = 2 }
    #expect(run.result.outcome == .guestReported(code: 0))
  }

  @Test func whenAllHaltTheRunEnds() throws {
    let run = try runAssembly("cli\n hlt") { $0.processorCount = 3 }
    #expect(run.result.outcome == .halted(level: .l1, rip: CodeImage.address + 1))
  }

  @Test(arguments: [0, -1, 65]) func countsThatCannotBeAreRefused(_ count: Int) throws {
    #expect(throws: MachineError.processorCount(count)) {
      try runAssembly("hlt") { $0.processorCount = count }
    }
  }
}
