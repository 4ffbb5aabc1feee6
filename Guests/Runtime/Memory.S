// The four functions that a compiler may call for its own purposes. In assembly, because a loop in a language that
// recognises these idioms would be turned back into a call of itself.

  .section .text.memcpy, "ax"
  .globl memcpy
memcpy: // RDI = to, RSI = from, RDX = count
  movq %rdi, %rax
  movq %rdx, %rcx
  rep movsb
  ret

  .section .text.memmove, "ax"
  .globl memmove
memmove: // RDI = to, RSI = from, RDX = count
  movq %rdi, %rax
  movq %rdx, %rcx
  movq %rdi, %r8
  subq %rsi, %r8
  cmpq %rdx, %r8
  jb 1f // `to` lies inside what is to be moved: move from the end.
  rep movsb
  ret
1:
  leaq -1(%rdi, %rcx), %rdi
  leaq -1(%rsi, %rcx), %rsi
  std
  rep movsb
  cld
  ret

  .section .text.memset, "ax"
  .globl memset
memset: // RDI = to, ESI = byte, RDX = count
  movq %rdi, %r8
  movl %esi, %eax
  movq %rdx, %rcx
  rep stosb
  movq %r8, %rax
  ret

  .section .text.memcmp, "ax"
  .globl memcmp
memcmp: // RDI, RSI = what to compare, RDX = count
  xorl %eax, %eax
  xorl %r8d, %r8d
  movq %rdx, %rcx
  cmpq %rcx, %rcx // ZF = 1, for a count of 0.
  repe cmpsb
  je 1f
  movzbl -1(%rdi), %eax
  movzbl -1(%rsi), %r8d
  subl %r8d, %eax
1:
  ret
