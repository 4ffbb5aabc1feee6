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
  andq $-16, %rsp
  call exception_raised

  .bss
  .balign 16
  .globl idt
idt:
  .skip 32 * 16
