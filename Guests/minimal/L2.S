// Where L2 begins, and where it waits.

// The first instruction of L2, in 64-bit mode on L2's own stack, with the arguments of `l2_main` in RDI and RSI.
  .section .text.l2_start, "ax"
  .globl l2_start
l2_start:
  call l2_main
  ud2

// L2 has taken the last answer as long as RAX is 0 here.
  .globl wait_for_answer, l2_waits, l2_waits_end
wait_for_answer:
  xorl %eax, %eax
l2_waits:
  testq %rax, %rax
  jz l2_waits
l2_waits_end:
  ret
