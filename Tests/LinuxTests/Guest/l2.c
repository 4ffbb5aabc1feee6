// A KVM program without a C library: it runs a guest in real-address mode that writes a byte to a port, executes CPUID
// as often as the first argument says, and halts. Linux's own KVM carries it out, which for Testudo is L1 with an L2.

#include "program.h"

static const char *const name = "l2";

extern const uint8_t guest_begin[], guest_end[];

// What L2 executes: ECX holds how many CPUIDs, and EBX tells at the end how many there were.
__asm__(
    ".section .rodata\n"
    ".code16\n"
    "guest_begin:\n"
    "  movb $0x42, %al\n"
    "  outb %al, $0x10\n"
    "  xorl %esi, %esi\n"
    "1: cmpl %ecx, %esi\n"
    "  je 2f\n"
    "  pushl %ecx\n"
    "  xorl %eax, %eax\n"
    "  cpuid\n"
    "  popl %ecx\n"
    "  incl %esi\n"
    "  jmp 1b\n"
    "2: movl %esi, %ebx\n"
    "  hlt\n"
    "guest_end:\n"
    ".code64\n"
    ".text\n");

enum { memory_size = 0x10000, code_address = 0x1000, stack_top = 0x8000, expected_port = 0x10, expected_byte = 0x42 };

static void run(int argument_count, const char *const *arguments) {
  unsigned long count = argument_count > 1 ? number_of(arguments[1]) : 0;
  struct machine it = made(memory_size, 0);
  for (long i = 0; i < guest_end - guest_begin; i++) it.memory[code_address + i] = guest_begin[i];
  struct kvm_sregs segments;
  REQUEST(it.cpu, KVM_GET_SREGS, &segments);
  segments.cs.base = 0;
  segments.cs.selector = 0;
  REQUEST(it.cpu, KVM_SET_SREGS, &segments);
  struct kvm_regs registers = {.rip = code_address, .rsp = stack_top, .rcx = count, .rflags = 2};
  REQUEST(it.cpu, KVM_SET_REGS, &registers);

  for (;;) {
    REQUEST(it.cpu, KVM_RUN, 0);
    if (it.state->exit_reason == KVM_EXIT_IO) {
      int is_expected = it.state->io.port == expected_port && *port_data(it.state) == expected_byte;
      say(is_expected ? "l2: wrote its byte to the port\n" : "l2: wrote something else\n");
    } else if (it.state->exit_reason == KVM_EXIT_HLT) {
      REQUEST(it.cpu, KVM_GET_REGS, &registers);
      say("l2: halted after ");
      say_number(registers.rbx);
      say(" CPUIDs\n");
      leave(registers.rbx == count ? 0 : 3);
    } else {
      fail("ended with exit reason", it.state->exit_reason);
    }
  }
}
