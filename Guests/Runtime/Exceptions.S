// One entry per exception vector, 16 bytes apart, each leading to `exception_raised(vector, errorCode, rip)`.

  .section .text.exceptions, "ax"
  .balign 16
  .globl exception_entries
exception_entries:
  .set vector, 0
  .rept 32
  .balign 16
  // The processor pushes an error code for #DF, #TS, #NP, #SS, #GP, #PF, #AC and #CP; the others get a 0.
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
  pushq $0
  .endif
  pushq $vector
  jmp exception_common
  .set vector, vector + 1
  .endr

exception_common:
  popq %rdi
  popq %rsi
  movq (%rsp), %rdx
  movq fault_continues_at, %rax
  testq %rax, %rax
  jnz 1f
  andq $-16, %rsp
  call exception_raised

// An instruction that was tried only: its function goes on where it says that the instruction faulted.
1:
  movq %rax, (%rsp)
  movq $0, fault_continues_at
  iretq

// TRY instruction, label: goes on at the label if the instruction faults.
  .macro TRY instruction:req, faulted:req
  movq $\faulted, fault_continues_at
  \instruction
  movq $0, fault_continues_at
  .endm

  .section .text.try_rdmsr, "ax"
  .globl try_rdmsr
try_rdmsr: // EDI = index, RSI = where to
  movl %edi, %ecx
  TRY rdmsr, 1f
  shlq $32, %rdx
  orq %rdx, %rax
  movq %rax, (%rsi)
  movl $1, %eax
  ret
1:
  xorl %eax, %eax
  ret

// TRY_WRITE instruction: a function for an instruction that writes EDX:EAX to what ECX names.
  .macro TRY_WRITE instruction:req
  .section .text.try_\instruction, "ax"
  .globl try_\instruction
try_\instruction: // EDI = index, RSI = value
  movl %edi, %ecx
  movl %esi, %eax
  movq %rsi, %rdx
  shrq $32, %rdx
  TRY \instruction, 1f
  movl $1, %eax
  ret
1:
  xorl %eax, %eax
  ret
  .endm

  TRY_WRITE wrmsr
  TRY_WRITE xsetbv

  .bss
  .balign 16
  .globl idt
idt:
  .skip 32 * 16
  // Where to go on after an exception, or 0.
  .balign 8
fault_continues_at:
  .skip 8
