// What the KVM programs that LinuxTests run in Linux need, without a C library: system calls, messages, and KVM's
// requests, whose failure ends the program.

#include <linux/kvm.h>
#include <stdint.h>

// What its messages begin with; each program has its own.
static const char *const name;

enum { sys_write = 1, sys_open = 2, sys_mmap = 9, sys_ioctl = 16, sys_madvise = 28, sys_exit_group = 231 };
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

// The compiler makes calls of these.
__attribute__((used)) void *memset(void *target, int byte, unsigned long length) {
  void *next = target;
  __asm__ volatile("rep stosb" : "+D"(next), "+c"(length) : "a"(byte) : "memory");
  return target;
}

__attribute__((used)) void *memcpy(void *target, const void *source, unsigned long length) {
  void *next = target;
  __asm__ volatile("rep movsb" : "+D"(next), "+S"(source), "+c"(length) : : "memory");
  return target;
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

// A line: the program's name, the text, the number.
static void tell(const char *text, unsigned long number) {
  say(name);
  say(": ");
  say(text);
  say(" ");
  say_number(number);
  say("\n");
}

// All threads end: newer kernels run a worker of KVM as a thread of this process, with which exit alone would leave it.
static _Noreturn void leave(int status) {
  for (;;) call(sys_exit_group, status, 0, 0, 0, 0, 0);
}

static _Noreturn void fail(const char *text, unsigned long number) {
  tell(text, number);
  leave(1);
}

static long checked(long result, const char *what) {
  if (result >= 0 || result < -4095) return result;
  say(name);
  say(": ");
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

static long open_file(const char *path) {
  enum { read_write = 2 };
  return checked(call(sys_open, (long)path, read_write, 0, 0, 0, 0), path);
}

static long map(long size, int is_shared, long file) {
  enum { read_write = 3, shared = 1, private_anonymous = 0x22 };
  return checked(call(sys_mmap, 0, size, read_write, is_shared ? shared : private_anonymous, file, 0), "mmap");
}

// The number that the text begins with.
__attribute__((unused)) static unsigned long number_of(const char *text) {
  unsigned long number = 0;
  for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (unsigned long)(*text - '0');
  return number;
}

static void run(int count, const char *const *arguments);

// The stack holds the number of arguments, then their addresses.
__attribute__((used)) static _Noreturn void begin(long *stack) {
  run((int)stack[0], (const char *const *)(stack + 1));
  leave(0);
}

__attribute__((naked)) void _start(void) {
  __asm__("mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
}

// A virtual machine of one processor, with its memory from address 0 on.
struct machine {
  long kvm, machine, cpu;
  uint8_t *memory;
  struct kvm_run *state;
};

// Makes it; with `has_chips`, KVM itself emulates the 8259s, the local APIC and the timer.
static struct machine made(long memory_size, int has_chips) {
  struct machine it;
  it.kvm = open_file("/dev/kvm");
  it.machine = REQUEST(it.kvm, KVM_CREATE_VM, 0);
  REQUEST(it.machine, KVM_SET_TSS_ADDR, task_state_address);
  if (has_chips) REQUEST(it.machine, KVM_CREATE_IRQCHIP, 0);
  it.memory = (uint8_t *)map(memory_size, 0, -1);
  struct kvm_userspace_memory_region region = {
      .memory_size = (uint64_t)memory_size, .userspace_addr = (uint64_t)it.memory};
  REQUEST(it.machine, KVM_SET_USER_MEMORY_REGION, &region);
  it.cpu = REQUEST(it.machine, KVM_CREATE_VCPU, 0);
  it.state = (void *)map(REQUEST(it.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), 1, it.cpu);
  return it;
}

// The bytes of a port's access that KVM left to the program.
__attribute__((unused)) static uint8_t *port_data(struct kvm_run *state) {
  return (uint8_t *)state + state->io.data_offset;
}

// Gives the processor all features that KVM supports, VMX among them if KVM's `nested` lets it; these they are.
__attribute__((unused)) static const struct kvm_cpuid2 *give_features(const struct machine *it) {
  enum { most = 256 };
  _Alignas(8) static uint8_t bytes[sizeof(struct kvm_cpuid2) + most * sizeof(struct kvm_cpuid_entry2)];
  struct kvm_cpuid2 *features = (void *)bytes;
  features->nent = most;
  REQUEST(it->kvm, KVM_GET_SUPPORTED_CPUID, features);
  REQUEST(it->cpu, KVM_SET_CPUID2, features);
  return features;
}

// Flat 32-bit segments, in protected mode without paging.
__attribute__((unused)) static void enter_protected_mode(const struct machine *it) {
  struct kvm_segment flat = {.limit = 0xFFFFFFFF, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
  struct kvm_sregs special;
  REQUEST(it->cpu, KVM_GET_SREGS, &special);
  special.ds = special.es = special.fs = special.gs = special.ss = flat;
  flat.selector = 8;
  flat.type = 11;
  special.cs = flat;
  special.cr0 = 0x11;  // PE, ET
  REQUEST(it->cpu, KVM_SET_SREGS, &special);
}
