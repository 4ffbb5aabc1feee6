// A KVM program without a C library whose guest causes exits of known number, five kinds in turn, and checks what it gets
// for each: as many iterations as the first argument says. Whoever counts the exits can say whether one was lost or came
// of itself.

#include "program.h"

static const char *const name = "exits";

// Where L2 has what, in its own physical memory: all of it is one region, whose pages L1 gets when L2 touches them.
enum { code_address = 0x1000, stack_top = 0x8000, first_page = 0x100000, page_size = 4096, pages = 1000 };
// The ports by which L2 says that a round is over, and that something it got is wrong.
enum { round_port = 0xF4, wrong_port = 0xF5 };
// The mask of the first 8259, which L1's KVM emulates.
enum { mask = 0xA5 };

extern const uint8_t guest_begin[], guest_end[];

// What L2 executes, in 32-bit protected mode without paging: ECX iterations of a round, EDI at the first fresh page, EBP
// the number of the iteration, EBX of CPUID's leaf 0 on the stack.
__asm__(
    ".section .rodata\n"
    ".code32\n"
    "guest_begin:\n"
    "  movl %ecx, %esi\n"
    "1: incl %ebp\n"
    "  xorl %eax, %eax\n"
    "  cpuid\n"
    "  cmpl (%esp), %ebx\n"
    "  jne 2f\n"
    "  movl $1000, %eax\n"  // a number that KVM does not know: it answers -KVM_ENOSYS
    "  vmcall\n"
    "  cmpl $-1000, %eax\n"
    "  jne 2f\n"
    "  inb $0x21, %al\n"
    "  cmpb $0xA5, %al\n"
    "  jne 2f\n"
    "  movl $0x1A0, %ecx\n"  // IA32_MISC_ENABLE, which KVM keeps: bit 0 as the program set it
    "  rdmsr\n"
    "  testl $1, %eax\n"
    "  jz 2f\n"
    "  movl %ebp, (%edi)\n"
    "  addl $4096, %edi\n"
    "  decl %esi\n"
    "  jnz 1b\n"
    "  outb %al, $0xF4\n"
    "2: outb %al, $0xF5\n"
    "guest_end:\n"
    ".code64\n"
    ".text\n");

static const long size = first_page + (long)pages * page_size;

static void prepare(const struct machine *it) {
  // Else Linux would map two MByte at the first touch, and L2 would have one EPT violation for 512 pages.
  enum { no_huge_pages = 15, misc_enable = 0x1A0, fast_strings = 1 };
  call(sys_madvise, (long)it->memory, size, no_huge_pages, 0, 0, 0);
  for (long i = 0; i < guest_end - guest_begin; i++) it->memory[code_address + i] = guest_begin[i];
  const struct kvm_cpuid2 *features = give_features(it);
  for (uint32_t i = 0; i < features->nent; i++)
    if (features->entries[i].function == 0) *(uint32_t *)(it->memory + stack_top) = features->entries[i].ebx;
  _Alignas(8) uint8_t bytes[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = {0};
  struct kvm_msrs *registers = (void *)bytes;
  registers->nmsrs = 1;
  registers->entries[0] = (struct kvm_msr_entry){.index = misc_enable, .data = fast_strings};
  if (REQUEST(it->cpu, KVM_SET_MSRS, registers) != 1) fail("KVM does not keep MSR", misc_enable);
  struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_PIC_MASTER};
  REQUEST(it->machine, KVM_GET_IRQCHIP, &chip);
  chip.chip.pic.imr = mask;
  REQUEST(it->machine, KVM_SET_IRQCHIP, &chip);
  enter_protected_mode(it);
}

// Every page of the round holds the number of its iteration.
static void check_pages(const struct machine *it, unsigned long done, unsigned long count) {
  for (unsigned long i = 0; i < count; i++) {
    uint32_t found = *(const uint32_t *)(it->memory + first_page + i * page_size);
    if (found != (uint32_t)(done + i + 1)) fail("L2's write is lost, of iteration", done + i + 1);
  }
}

// L2 has none of its pages any more, and the next round touches them as if for the first time.
static void forget_pages(const struct machine *it) {
  enum { do_not_need = 4 };
  checked(call(sys_madvise, (long)(it->memory + first_page), (long)pages * page_size, do_not_need, 0, 0, 0), "madvise");
}

static void run(int argument_count, const char *const *arguments) {
  unsigned long total = argument_count > 1 ? number_of(arguments[1]) : 0;
  struct machine it = made(size, 1);
  prepare(&it);
  for (unsigned long done = 0; done < total;) {
    unsigned long count = total - done < pages ? total - done : pages;
    struct kvm_regs registers = {
        .rip = code_address, .rsp = stack_top, .rcx = count, .rdi = first_page, .rbp = done, .rflags = 2};
    REQUEST(it.cpu, KVM_SET_REGS, &registers);
    REQUEST(it.cpu, KVM_RUN, 0);
    if (it.state->exit_reason != KVM_EXIT_IO) fail("ended with exit reason", it.state->exit_reason);
    if (it.state->io.port != round_port) {
      REQUEST(it.cpu, KVM_GET_REGS, &registers);
      fail("L2 got something wrong in iteration", registers.rbp);
    }
    check_pages(&it, done, count);
    forget_pages(&it);
    done += count;
  }
  tell("iterations checked:", total);
}
