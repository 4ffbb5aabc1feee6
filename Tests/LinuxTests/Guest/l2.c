// A KVM program without a C library: it runs a guest in real-address mode that writes a byte to a port, executes CPUID
// as often as the first argument says, and halts. Linux's own KVM carries it out, which for Testudo is L1 with an L2.

#include <linux/kvm.h>
#include <stdint.h>

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

enum { sys_write = 1, sys_open = 2, sys_mmap = 9, sys_ioctl = 16, sys_exit_group = 231 };
enum { memory_size = 0x10000, code_address = 0x1000, stack_top = 0x8000, expected_port = 0x10, expected_byte = 0x42 };
// Where KVM may keep three pages of its own for guests in real-address mode.
enum { task_state_address = 0xFFFBD000u };

static long call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static void say(const char *text) {
  long length = 0;
  while (text[length]) length++;
  call(sys_write, 1, (long)text, length, 0, 0, 0);
}

static void say_number(unsigned long number) {
  char digits[24];
  int place = sizeof digits - 1;
  digits[place] = 0;
  do {
    digits[--place] = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  say(digits + place);
}

// All threads end: newer kernels run a worker of KVM as a thread of this process, with which exit alone would leave it.
static _Noreturn void leave(int status) {
  for (;;) call(sys_exit_group, status, 0, 0, 0, 0, 0);
}

static long checked(long result, const char *what) {
  if (result >= 0 || result < -4095) return result;
  say("l2: ");
  say(what);
  say(" failed with errno ");
  say_number((unsigned long)-result);
  say("\n");
  leave(1);
}

static long request(long file, unsigned long what, long argument, const char *name) {
  return checked(call(sys_ioctl, file, (long)what, argument, 0, 0, 0), name);
}

#define REQUEST(file, what, argument) request(file, what, (long)(argument), #what)

static long map(long size, int is_shared, long file) {
  enum { read_write = 3, shared = 1, private_anonymous = 0x22 };
  return checked(call(sys_mmap, 0, size, read_write, is_shared ? shared : private_anonymous, file, 0), "mmap");
}

static void run(unsigned long count) {
  long kvm = checked(call(sys_open, (long)"/dev/kvm", 2, 0, 0, 0, 0), "opening /dev/kvm");
  long machine = REQUEST(kvm, KVM_CREATE_VM, 0);
  REQUEST(machine, KVM_SET_TSS_ADDR, task_state_address);
  uint8_t *memory = (uint8_t *)map(memory_size, 0, -1);
  struct kvm_userspace_memory_region region = {.memory_size = memory_size, .userspace_addr = (uint64_t)memory};
  REQUEST(machine, KVM_SET_USER_MEMORY_REGION, &region);
  for (long i = 0; i < guest_end - guest_begin; i++) memory[code_address + i] = guest_begin[i];

  long cpu = REQUEST(machine, KVM_CREATE_VCPU, 0);
  struct kvm_run *state = (void *)map(REQUEST(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), 1, cpu);
  struct kvm_sregs segments;
  REQUEST(cpu, KVM_GET_SREGS, &segments);
  segments.cs.base = 0;
  segments.cs.selector = 0;
  REQUEST(cpu, KVM_SET_SREGS, &segments);
  struct kvm_regs registers = {.rip = code_address, .rsp = stack_top, .rcx = count, .rflags = 2};
  REQUEST(cpu, KVM_SET_REGS, &registers);

  for (;;) {
    REQUEST(cpu, KVM_RUN, 0);
    if (state->exit_reason == KVM_EXIT_IO) {
      const uint8_t *data = (uint8_t *)state + state->io.data_offset;
      int isExpected = state->io.port == expected_port && *data == expected_byte;
      say(isExpected ? "l2: wrote its byte to the port\n" : "l2: wrote something else\n");
    } else if (state->exit_reason == KVM_EXIT_HLT) {
      REQUEST(cpu, KVM_GET_REGS, &registers);
      say("l2: halted after ");
      say_number(registers.rbx);
      say(" CPUIDs\n");
      leave(registers.rbx == count ? 0 : 3);
    } else {
      say("l2: ended with exit reason ");
      say_number(state->exit_reason);
      say("\n");
      leave(2);
    }
  }
}

// The stack holds the number of arguments, then their addresses.
__attribute__((used)) static _Noreturn void begin(long *stack) {
  unsigned long count = 0;
  if (stack[0] > 1)
    for (const char *digit = (const char *)stack[2]; *digit >= '0' && *digit <= '9'; digit++)
      count = count * 10 + (unsigned long)(*digit - '0');
  run(count);
  leave(4);
}

__attribute__((naked)) void _start(void) {
  __asm__("mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
}
