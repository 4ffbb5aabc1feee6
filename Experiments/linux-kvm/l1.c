// L2s whose exits are those of one workload.

#include "../l1.h"

static const char *const name = "linux-kvm";
const unsigned long largest_count = 60000;

// Without paging.
extern const uint8_t cpuid_begin[], cpuid_end[], hypercall_begin[], hypercall_end[];
extern const uint8_t io_begin[], io_end[], memory_begin[], memory_end[];
__asm__(
    ".section .rodata\n"
    ".code32\n"
    "cpuid_begin:\n"
    "1: movl %ecx, %esi\n"
    "  xorl %eax, %eax\n"
    "  cpuid\n"
    "  movl %esi, %ecx\n"
    "  decl %ecx\n"
    "  jnz 1b\n"
    "  outb %al, $0xF4\n"
    "cpuid_end:\n"
    "hypercall_begin:\n"  // a number that KVM does not know
    "1: movl $1000, %eax\n"
    "  vmcall\n"
    "  decl %ecx\n"
    "  jnz 1b\n"
    "  outb %al, $0xF4\n"
    "hypercall_end:\n"
    "io_begin:\n"  // the mask of the 8259, which KVM emulates itself
    "1: inb $0x21, %al\n"
    "  decl %ecx\n"
    "  jnz 1b\n"
    "  outb %al, $0xF4\n"
    "io_end:\n"
    "memory_begin:\n"
    "1: movb $1, (%edi)\n"
    "  addl $4096, %edi\n"
    "  decl %ecx\n"
    "  jnz 1b\n"
    "  outb %al, $0xF4\n"
    "memory_end:\n"
    ".code64\n"
    ".text\n");

const struct workload workloads[] = {
    {"cpuid", cpuid_begin, cpuid_end},
    {"hypercall", hypercall_begin, hypercall_end},
    {"io", io_begin, io_end},
    {"memory", memory_begin, memory_end},
    {0, 0, 0},
};

static unsigned long fresh_page_count(unsigned long count) { return count + 1; }

static void prepare(uint8_t *memory, struct kvm_sregs *special) { (void)memory, (void)special; }
