import Hypervisor
import Testing
import Trace
import VMX

/// Interrupts, waiting and the ends that devices bring about, with bare code as L1.
@Suite struct InterruptTests {
  func count(_ run: GuestRun, _ reason: ExitReason) -> UInt64 {
    run.result.exits.filter { $0.reason == reason.rawValue }.reduce(0) { $0 + $1.count }
  }

  /// L1 sleeps three times until the local APIC's timer wakes it.
  private static let sleeper = """
      start
      gate 0x40, tick
      movl $APIC, %ebx
      movl $0x40, 0x320(%rbx)       // one-shot timer, vector 40H
      movl $0xB, 0x3E0(%rbx)        // divided by 1
      xorl %esi, %esi
    1:
      movl $25000, 0x380(%rbx)      // 1 ms
      sti
      hlt
      cli
      cmpl $3, %esi
      jb 1b
      xorl %eax, %eax
      done
    tick:
      incl %esi
      movl $0, 0xB0(%rbx)
      iretq
    """

  @Test func timerInterruptsEndHLT() throws {
    let run = try runAssembly(Self.sleeper)
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(count(run, .hlt) == 3)
    let milliseconds = MachineConfiguration(image: GuestImage(name: "", bytes: [])).costs.frequency / 1000
    #expect(run.result.idleCycles < 3 * milliseconds)
    #expect(run.result.idleCycles > 29 * milliseconds / 10)
    let charged = run.result.exits.reduce(0) { $0 + $1.cycles }
    let references = run.result.pageWalks.l1.references + run.result.pageWalks.l2.references
    let walks = references * run.result.walkReferenceCycles
    #expect(run.result.virtualCycles == run.result.instructions + charged + run.result.idleCycles + walks)
  }

  @Test func waitingIsDeterministic() throws {
    let first = try runAssembly(Self.sleeper)
    let second = try runAssembly(Self.sleeper)
    #expect(first.result.events == second.result.events)
    #expect(first.result.virtualCycles == second.result.virtualCycles)
  }

  /// A timer that comes while L1 computes ends it by an external-interrupt exit; while interrupts are masked, it waits
  /// for the interrupt window.
  @Test func timerInterruptsComeAtTheirTime() throws {
    let run = try runAssembly(
      """
        start
        gate 0x40, tick
        movl $APIC, %ebx
        movl $0x40, 0x320(%rbx)
        movl $0xB, 0x3E0(%rbx)
        xorl %esi, %esi
        movl $1000, 0x380(%rbx)
        sti
      1:
        testl %esi, %esi
        jz 1b
        cli
        movl $10, 0x380(%rbx)
        movl $100000, %ecx
      2:
        decl %ecx
        jnz 2b
        movl %esi, %eax               // still 1: interrupts are masked
        sti
        nop
        nop
        shll $4, %eax
        orl %esi, %eax
        subl $0x12, %eax
        done
      tick:
        incl %esi
        movl $0, 0xB0(%rbx)
        iretq
      """)
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(count(run, .externalInterrupt) == 2)
    #expect(count(run, .interruptWindow) == 1)
  }

  /// In TSC-deadline mode, in a local APIC in x2APIC mode.
  @Test func theDeadlineIsThatOfTheTimeStampCounter() throws {
    let run = try runAssembly(
      """
        start
        gate 0x41, tick
        movl $0x1B, %ecx
        rdmsr
        orl $0xC00, %eax
        wrmsr
        movl $0x832, %ecx
        movl $0x40041, %eax
        xorl %edx, %edx
        wrmsr
        rdtsc
        addl $1000000, %eax
        adcl $0, %edx
        movl %eax, %esi
        movl %edx, %edi
        movl $0x6E0, %ecx
        wrmsr
        sti
        hlt
        ud2
      tick:
        rdtsc
        subl %esi, %eax
        sbbl %edi, %edx
        jnz bad
        cmpl $10000, %eax
        ja bad
        xorl %eax, %eax
        done
      bad:
        movl $1, %eax
        done
      """)
    #expect(run.result.outcome == .guestReported(code: 0))
  }

  /// An NMI that L1 sends to itself is delivered, and a second one only after IRET.
  @Test func anNMIWaitsForTheIRETOfTheOneBefore() throws {
    let run = try runAssembly(
      """
        start
        gate 2, nmi
        movl $APIC, %ebx
        xorl %esi, %esi
        movl $0x44400, 0x300(%rbx)    // NMI to itself
        nop
        cmpl $2, %esi
        setne %al
        movzbl %al, %eax
        done
      nmi:
        incl %esi
        cmpl $2, %esi
        je 1f
        movl $0x44400, 0x300(%rbx)
        nop
        cmpl $1, %esi                 // blocked
        je 1f
        ud2
      1:
        iretq
      """)
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(count(run, .nmiWindow) == 1)
  }

  /// The task priority, by CR8, holds back an interrupt.
  @Test func theTaskPriorityHoldsBackInterrupts() throws {
    let run = try runAssembly(
      """
        start
        gate 0x50, tick
        movl $APIC, %ebx
        xorl %esi, %esi
        movl $5, %eax
        movq %rax, %cr8
        sti
        movl $0x44050, 0x300(%rbx)    // interrupt 50H to itself
        nop
        movl %esi, %edx               // 0
        movl $4, %eax
        movq %rax, %cr8
        nop
        movq %cr8, %rax
        subl $4, %eax
        orl %edx, %eax
        decl %esi
        orl %esi, %eax
        done
      tick:
        incl %esi
        movl $0, 0xB0(%rbx)
        iretq
      """)
    #expect(run.result.outcome == .guestReported(code: 0))
  }

  @Test func monitoredWaitsEndByInterrupts() throws {
    let run = try runAssembly(
      """
        start
        gate 0x40, tick
        movl $APIC, %ebx
        movl $0x40, 0x320(%rbx)
        movl $0xB, 0x3E0(%rbx)
        movl $25000, 0x380(%rbx)
        movl $0x400000, %eax
        xorl %ecx, %ecx
        xorl %edx, %edx
        monitor
        xorl %eax, %eax
        incl %ecx                     // masked interrupts end it, too
        mwait
        movl 0x200(%rbx), %eax
        movl 0x220(%rbx), %edx        // requested, not taken
        shrl $0, %edx
        cmpl $1, %edx
        jne 1f
        xorl %eax, %eax
        done
      1:
        movl $1, %eax
        done
      tick:
        ud2
      """)
    #expect(run.result.outcome == .guestReported(code: 0))
    #expect(count(run, .mwait) == 1)
    #expect(run.result.idleCycles > 0)
  }

  @Test func nobodyWakesAGuestWithInterruptsMasked() throws {
    let run = try runAssembly(
      """
        movl $APIC, %ebx
        movl $0x20040, 0x320(%rbx)    // periodic
        movl $0xB, 0x3E0(%rbx)
        movl $250000, 0x380(%rbx)
        cli
        hlt
      """)
    guard case .halted(.l1, _) = run.result.outcome else {
      Issue.record("\(run.result.outcome)")
      return
    }
  }

  @Test func theGuestTurnsTheMachineOffOrResetsIt() throws {
    let off = try runAssembly("movw $0x604, %dx\n movw $0x3400, %ax\n outw %ax, %dx\n hlt")
    #expect(off.result.outcome == .poweredOff)
    #expect(off.result.outcome.isSuccess)
    let endings: [(String, ResetRequest)] = [
      ("movw $0xCF9, %dx\n movb $6, %al\n outb %al, %dx\n hlt", .resetControl(powerCycle: false)),
      ("movb $0xFE, %al\n outb %al, $0x64\n hlt", .keyboardController),
      ("movb $1, %al\n outb %al, $0x92\n hlt", .systemControlPort),
      (
        "movl $APIC, %ebx\n movl $0, 0x310(%rbx)\n movl $0x4500, 0x300(%rbx)\n 1: pause\n jmp 1b",
        .initialization
      ),
    ]
    for (code, request) in endings {
      let run = try runAssembly(code)
      #expect(run.result.outcome == .reset(request))
      #expect(!run.result.outcome.isSuccess)
    }
  }

  /// With CR0.NE = 0 an x87 error is interrupt 13 of the 8259s, until port F0H is written; with CR0.NE = 1 it is #MF.
  @Test(arguments: [(clearsNE: true, interrupts: 1, exceptions: 0), (false, 0, 1)])
  func x87Errors(_ row: (clearsNE: Bool, interrupts: UInt32, exceptions: UInt32)) throws {
    let run = try runAssembly(
      """
        start
        gate 0x75, interrupt
        gate 16, exception
        movb $0xFB, %al               // the cascade, and interrupt 13
        outb %al, $0x21
        movb $0xDF, %al
        outb %al, $0xA1
        xorl %esi, %esi
        xorl %edx, %edx
        movq %cr0, %rax
        andq $~0x20, %rax
        orq $\(row.clearsNE ? 0 : 0x20), %rax
        movq %rax, %cr0
        fninit
        pushq $0x37E                  // invalid operations unmasked
        fldcw (%rsp)
        fld1
        fchs
        fsqrt
        sti
        fwait
        cli
        movl %esi, %eax
        shll $4, %eax
        orl %edx, %eax
        done
      interrupt:
        incl %esi
        outb %al, $0xF0
        fnclex
        movb $0x20, %al
        outb %al, $0xA0
        outb %al, $0x20
        iretq
      exception:
        incl %edx
        fnclex
        iretq
      """)
    #expect(run.result.outcome == .guestReported(code: row.interrupts << 4 | row.exceptions))
  }
}
