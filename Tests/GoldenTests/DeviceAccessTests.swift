import Hypervisor
import Testing
import Trace
import VMX

/// Instructions whose memory operand is in a device: L0 emulates them, and they are to do what the processor does with
/// the same operand in RAM.
@Suite struct DeviceAccessTests {
  /// An instruction with its operand at (%rbx), and the flags that it leaves undefined.
  struct Form: CustomTestStringConvertible {
    var text: String
    var undefined: Set<Flag> = []

    init(_ text: String, _ undefined: Set<Flag> = []) {
      self.text = text
      self.undefined = undefined
    }

    enum Flag: UInt32 { case cf = 0x1, pf = 0x4, af = 0x10, zf = 0x40, sf = 0x80, of = 0x800 }

    var testDescription: String { text }
    var mask: UInt32 { undefined.reduce(0x8D5) { $0 & ~$1.rawValue } }
  }

  static let moves: [Form] = [
    "movb %al, (%rbx)", "movw %ax, (%rbx)", "movl %eax, (%rbx)", "movq %rax, (%rbx)", "movb (%rbx), %ah",
    "movb (%rbx), %al", "movw (%rbx), %cx", "movl (%rbx), %edx", "movq (%rbx), %rsi", "movb $0x5A, (%rbx)",
    "movw $0x1234, 2(%rbx)", "movl $0x12345678, (%rbx)", "movq $-2, (%rbx)", "movq 3(%rbx), %r9",
    "movzbl (%rbx), %eax", "movzwq (%rbx), %rax", "movsbw (%rbx), %ax", "movswl (%rbx), %ecx",
    "movslq (%rbx), %rdx", "movntil", "movbel (%rbx), %eax", "movbeq %rcx, (%rbx)", "xchgb %al, (%rbx)",
    "xchgq %rax, (%rbx)", "cmovcl (%rbx), %eax", "cmovncq (%rbx), %rcx", "setc (%rbx)", "setle (%rbx)",
    "pushq (%rbx)\n popq %rdx", "pushq %rcx\n popq (%rbx)",
    "movl (%rbx,%rbp,4), %eax", "movl %eax, -4(%rbx,%rbp,8)", "movb %ah, (%rbx)",
  ].map { Form($0 == "movntil" ? "movntil %eax, (%rbx)" : $0) }

  private static let registers = ["b %al", "w %cx", "l %edx", "q %rax"]

  static let arithmetic: [Form] = {
    var forms: [Form] = []
    for name in ["add", "adc", "sub", "sbb", "cmp"] {
      for register in registers {
        let size = register.prefix(1)
        forms.append(Form("\(name)\(register), (%rbx)"))
        forms.append(Form("\(name)\(size) (%rbx), \(register.dropFirst(2))"))
      }
      forms.append(Form("\(name)l $-3, (%rbx)"))
      forms.append(Form("\(name)q $0x1000, (%rbx)"))
    }
    for name in ["and", "or", "xor", "test"] {
      for register in registers { forms.append(Form("\(name)\(register), (%rbx)", [.af])) }
    }
    for name in ["inc", "dec", "neg", "not"] {
      for size in ["b", "w", "l", "q"] { forms.append(Form("\(name)\(size) (%rbx)")) }
    }
    return forms
  }()

  private static let shifts: [Form] = {
    var forms: [Form] = []
    for name in ["rol", "ror", "rcl", "rcr"] {
      forms.append(Form("\(name)b $1, (%rbx)"))
      forms.append(Form("\(name)w %cl, (%rbx)", [.of]))
      forms.append(Form("\(name)q $7, (%rbx)", [.of]))
    }
    for name in ["shl", "shr", "sar"] {
      forms.append(Form("\(name)b $1, (%rbx)", [.af]))
      forms.append(Form("\(name)l %cl, (%rbx)", [.af, .of, .cf]))
      forms.append(Form("\(name)q $7, (%rbx)", [.af, .of]))
    }
    forms.append(Form("shldl $5, %eax, (%rbx)", [.af, .of]))
    forms.append(Form("shrdq %cl, %rax, (%rbx)", [.af, .of]))
    return forms
  }()

  private static let bits: [Form] = [
    Form("btl $7, (%rbx)", [.pf, .af, .sf, .of]), Form("btsq %rbp, (%rbx)", [.pf, .af, .sf, .of]),
    Form("btrw $15, (%rbx)", [.pf, .af, .sf, .of]), Form("btcl %ebp, (%rbx)", [.pf, .af, .sf, .of]),
    Form("bsfl (%rbx), %eax", [.cf, .pf, .af, .sf, .of]),
    Form("bsrq (%rbx), %rax", [.cf, .pf, .af, .sf, .of]),
    Form("tzcntl (%rbx), %eax", [.pf, .af, .sf, .of]), Form("lzcntq (%rbx), %rax", [.pf, .af, .sf, .of]),
    Form("popcntw (%rbx), %ax"),
  ]

  private static let exchanges: [Form] = [
    "xaddb %al, (%rbx)", "xaddq %rcx, (%rbx)", "lock xaddl %ecx, (%rbx)", "cmpxchgl %ecx, (%rbx)",
    "cmpxchgb %dl, (%rbx)",
    "movl (%rbx), %eax\n cmpxchgl %ecx, (%rbx)",
  ].map { Form($0) }

  private static let products: [Form] = {
    let undefined: Set<Form.Flag> = [.pf, .af, .zf, .sf]
    let all: Set<Form.Flag> = [.cf, .pf, .af, .zf, .sf, .of]
    return [
      Form("mulb (%rbx)", undefined), Form("mulq (%rbx)", undefined), Form("imull (%rbx)", undefined),
      Form("imulw (%rbx), %cx", undefined), Form("imulq $-3, (%rbx), %rdx", undefined),
      Form("movl $0, %edx\n orl $3, (%rbx)\n divl (%rbx)", all),
      Form("movl $0, %edx\n movq $0x1234567, %rax\n orq $9, (%rbx)\n idivq (%rbx)", all),
      Form("movl $9, %eax\n orb $0x10, (%rbx)\n divb (%rbx)", all),
      Form("xorl %edx, %edx\n movl $-77, %eax\n cwtd\n orw $3, (%rbx)\n idivw (%rbx)", all),
      Form("movq %rbx, %r10\n movq (%r10), %rax\n xorl %ebx, %ebx\n cmpxchg16b (%r10)\n movq %r10, %rbx"),
      Form(
        "movq %rbx, %r10\n movl 8(%r10), %eax\n movl 12(%r10), %edx\n movl $7, %ebx\n cmpxchg8b 8(%r10)\n movq %r10, %rbx"
      ),
    ]
  }()

  static let others: [Form] = shifts + bits + exchanges + products

  static let strings: [Form] = [
    "movl $3, %ecx\n movq %rbx, %rdi\n leaq values(%rip), %rsi\n rep movsl",
    "movl $3, %ecx\n movq %rbx, %rsi\n leaq 64(%rbx), %rdi\n rep movsb",
    "movl $5, %ecx\n movq %rbx, %rdi\n rep stosw", "movq %rbx, %rsi\n lodsq", "movq %rbx, %rdi\n scasb",
    "movl $9, %ecx\n movq %rbx, %rdi\n repne scasb",
    "movl $2, %ecx\n movq %rbx, %rsi\n movq %rbx, %rdi\n repe cmpsl",
    "movl $4, %ecx\n leaq 24(%rbx), %rdi\n std\n rep stosl\n cld",
    "movl $0, %ecx\n movq %rbx, %rdi\n rep stosb",
    "movw $0x70, %dx\n movq %rbx, %rdi\n insb\n movw $0x80, %dx\n movq %rbx, %rsi\n outsb",
  ].map { Form($0) }

  @Test func movesAreTheProcessors() throws { try compare(Self.moves) }
  @Test func arithmeticIsTheProcessors() throws { try compare(Self.arithmetic) }
  @Test func shiftsBitsAndExchangesAreTheProcessors() throws { try compare(Self.others) }
  @Test func stringsAreTheProcessors() throws { try compare(Self.strings) }

  /// Each form runs with many values, once with its operand in RAM and once in the test device's memory; registers,
  /// defined flags and 96 bytes of memory are compared. The number of the first form that differs, from 1, ends the run.
  private func compare(_ forms: [Form]) throws {
    let tests = forms.enumerated().map { number, form in
      """
        jmp 2f
      1:
        \(form.text)
        ret
      2:
        leaq 1b(%rip), %r15
        movl $\(form.mask), %r14d
        movl $\(number + 1), %r13d
        call compare

      """
    }
    let run = try runAssembly(Self.frame(tests.joined())) { $0.instructionLimit = 50_000_000 }
    guard case .guestReported(let code) = run.result.outcome else {
      Issue.record("\(run.result.outcome)")
      return
    }
    let form = code == 0 ? nil : forms[Int(code & 0xFFF) - 1].text
    #expect(form == nil, "differs with value \(code >> 12)")
    let emulated = run.result.exits.first { $0.reason == ExitReason.eptViolation.rawValue }?.count ?? 0
    #expect(emulated > UInt64(forms.count * 24))
  }

  /// `compare` runs the code at R15 with each of 24 values.
  private static func frame(_ tests: String) -> String {
    """
      .set RAM, 0x600000
      .set DEVICE, 0xFF000000
      .set STATES, 0x700000
      start
    \(tests)
      xorl %eax, %eax
      done

    compare:
      xorl %r12d, %r12d
    value_loop:
      movl $RAM, %ebx
      movl $STATES, %r11d
      call once
      movl $DEVICE, %ebx
      movl $(STATES + 256), %r11d
      call once
      movl $STATES, %esi
      movl $(STATES + 256), %edi
      movl $20, %ecx
      cld
      repe cmpsq
      jne differs
      incl %r12d
      cmpl $24, %r12d
      jb value_loop
      ret
    differs:
      movl %r12d, %eax
      shll $12, %eax
      orl %r13d, %eax
      done

    // Runs the form with its operand at RBX, and writes what it leaves to R11.
    once:
      pushq %rbx
      pushq %r11
      // 96 bytes of memory from the values, beginning with the R12-th.
      leaq values(%rip), %rsi
      xorl %ecx, %ecx
    fill:
      leal (%rcx,%r12), %eax
      andl $15, %eax
      movq (%rsi,%rax,8), %rdx
      movq %rdx, (%rbx,%rcx,8)
      incl %ecx
      cmpl $12, %ecx
      jb fill
      leal 5(%r12), %eax
      andl $15, %eax
      movq (%rsi,%rax,8), %r8
      leal 9(%r12), %eax
      andl $15, %eax
      movq (%rsi,%rax,8), %rdx
      leal 3(%r12), %eax
      andl $15, %eax
      movq (%rsi,%rax,8), %rcx
      movq %r8, %rax
      movq $0, %rbp
      testl $1, %r12d
      jz 1f
      movq $3, %rbp
    1:
      xorl %edi, %edi
      xorl %r9d, %r9d
      xorl %esi, %esi
      // CF is bit 1 of the value's number.
      btl $1, %r12d
      movl $0, %r8d
      call *%r15
      pushfq
      movq 8(%rsp), %r11
      movq %rax, (%r11)
      movq %rcx, 8(%r11)
      movq %rdx, 16(%r11)
      movq %r9, 24(%r11)
      popq %rax
      andl %r14d, %eax
      movq %rax, 32(%r11)
      // Addresses in index registers count from the operand.
      movq 8(%rsp), %rbx
      movq %rsi, %rax
      subq %rbx, %rax
      cmpq $4096, %rax
      jb 2f
      movq %rsi, %rax
    2:
      movq %rax, 40(%r11)
      movq %rdi, %rax
      subq %rbx, %rax
      cmpq $4096, %rax
      jb 3f
      movq %rdi, %rax
    3:
      movq %rax, 48(%r11)
      movq %rsp, 56(%r11)
      xorl %ecx, %ecx
    4:
      movq (%rbx,%rcx,8), %rax
      movq %rax, 64(%r11,%rcx,8)
      incl %ecx
      cmpl $12, %ecx
      jb 4b
      // A form may have computed RAX from RBX.
      popq %r11
      popq %rbx
      ret

      .balign 8
    values:
      .quad 0, -1, 1, 0x8000000000000000, 0x7FFFFFFFFFFFFFFF, 0x123456789ABCDEF0
      .quad 0x80, 0x7F, 0x8000, 0xFF, 0x80000000, 0x00FF00FF00FF00FF
      .quad 0x0101010101010101, 0xFEDCBA9876543210, 0x10, 0xAAAAAAAA55555555
    """
  }

  /// A page that is not present, and one that cannot be written, fault as they do in RAM.
  @Test func faultsOfOtherOperandsAreTheProcessors() throws {
    let run = try runAssembly(
      """
        start
        gate 14, fault
        movl $0xFF000000, %esi
        movl $0x40000000, %edi
        shlq $8, %rdi                  // 256 GByte: not mapped
        movl $4, %ecx
      string:
        rep movsb
        ud2
      fault:
        movq %cr2, %rax
        subq %rdi, %rax
        subl $4, %ecx                  // nothing moved
        orl %ecx, %eax
        popq %rdx
        subl $2, %edx                  // a write to a page that is not present
        orl %edx, %eax
        popq %rdx
        leaq string(%rip), %rcx
        subq %rcx, %rdx
        orl %edx, %eax
        done
      """)
    #expect(run.result.outcome == .guestReported(code: 0))
  }
}
