// From a hypervisor to its guest and back. VM entries and VM exits leave the general-purpose registers alone but RSP, so the
// hypervisor swaps them itself.

// The offsets of X86's RegisterFile.
#define RAX 0
#define RCX 8
#define RDX 16
#define RBX 24
#define RBP 40
#define RSI 48
#define RDI 56
#define R8 64
#define R9 72
#define R10 80
#define R11 88
#define R12 96
#define R13 104
#define R14 112
#define R15 120

  .section .text.enter_guest, "ax"
  .globl enter_guest, guest_exited
enter_guest: // RDI = registers, SIL = launched
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  pushq %rdi
  movq %rsp, hypervisor_stack_pointer
  testb %sil, %sil // No MOV changes ZF until the branch.
  movq RAX(%rdi), %rax
  movq RCX(%rdi), %rcx
  movq RDX(%rdi), %rdx
  movq RBX(%rdi), %rbx
  movq RBP(%rdi), %rbp
  movq RSI(%rdi), %rsi
  movq R8(%rdi), %r8
  movq R9(%rdi), %r9
  movq R10(%rdi), %r10
  movq R11(%rdi), %r11
  movq R12(%rdi), %r12
  movq R13(%rdi), %r13
  movq R14(%rdi), %r14
  movq R15(%rdi), %r15
  movq RDI(%rdi), %rdi
  jnz 1f
  vmlaunch
  jmp 2f
1:
  vmresume
2:
  // Only a failure comes here; RSP is still the hypervisor's.
  popq %rdi
  movl $1, %eax
  jmp 3f

// The host RIP of the VMCS: every VM exit continues here, with the guest's registers. The host RSP would have to be written
// before each entry to be of use, so the stack pointer comes from memory.
guest_exited:
  movq hypervisor_stack_pointer, %rsp
  pushq %rdi
  movq 8(%rsp), %rdi
  movq %rax, RAX(%rdi)
  movq %rcx, RCX(%rdi)
  movq %rdx, RDX(%rdi)
  movq %rbx, RBX(%rdi)
  movq %rbp, RBP(%rdi)
  movq %rsi, RSI(%rdi)
  movq %r8, R8(%rdi)
  movq %r9, R9(%rdi)
  movq %r10, R10(%rdi)
  movq %r11, R11(%rdi)
  movq %r12, R12(%rdi)
  movq %r13, R13(%rdi)
  movq %r14, R14(%rdi)
  movq %r15, R15(%rdi)
  popq %rax
  movq %rax, RDI(%rdi)
  popq %rdi
  xorl %eax, %eax
3:
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret

  .bss
  .balign 8
hypervisor_stack_pointer:
  .skip 8
