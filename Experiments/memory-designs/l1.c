// The first and only process of a Linux that is L1: it loads KVM, runs an L2 that does one thing with its memory, and
// turns the machine off. It needs no C library; Linux hands it the workload and the number of iterations as arguments.

#include <linux/kvm.h>
#include <stdint.h>

enum {
  sys_write = 1, sys_open = 2, sys_mmap = 9, sys_ioctl = 16, sys_madvise = 28, sys_mknod = 133, sys_reboot = 169,
  sys_finit_module = 313,
};

// Where L2 has what, in its own physical memory: all of it is one region, whose pages L1 gets when L2 touches them.
enum {
  code_address = 0x1000, stack_top = 0x8000, first_directory = 0x10000, second_directory = 0x11000,
  first_table = 0x14000, second_table = 0x15000, identity_tables = 0x18000, walk_tables = 0x30000,
  fresh_pages = 0x100000, page_size = 4096, identity_count = 8, walk_count = 4, largest_count = 4000,
};
// What L2 has at other linear addresses: a page that remap and switch change, and for walk two regions of 16 MByte, whose
// pages have the same places in the processor's TLB.
enum { changing_entry = 32, near_entry = 64, far_entry = 80 };
// Where KVM may keep pages of its own: outside that region.
enum { task_state_address = 0xFFFBD000u };
// The port by which L2 says that it is done.
enum { end_port = 0xF4 };

// What L2 executes, in 32-bit protected mode with page tables of its own: ECX iterations between two CPUIDs, which are what
// is measured. The page directories are those above; at 0x08000000 is the page that changes, and 0x10000000 and 0x14000000
// begin the two regions.
#define BEGIN(name) #name "_begin:\n movl %ecx, %esi\n xorl %eax, %eax\n cpuid\n movl %esi, %ecx\n"
#define END(name) " decl %ecx\n jnz 1b\n xorl %eax, %eax\n cpuid\n xorl %ecx, %ecx\n outb %al, $0xF4\n" #name "_end:\n"
extern const uint8_t walk_begin[], walk_end[], touch_begin[], touch_end[];
extern const uint8_t remap_begin[], remap_end[], switch_begin[], switch_end[];
__asm__(
    ".section .rodata\n"
    ".code32\n"
    "walk_begin:\n"  // so that L1 has all pages there already
    "  movl $0x10000000, %edi\n"
    "2: movl (%edi), %eax\n"
    "  movl 0x04000000(%edi), %eax\n"
    "  addl $4096, %edi\n"
    "  cmpl $0x11000000, %edi\n"
    "  jne 2b\n"
    "  movl $0x10000000, %edi\n"
    BEGIN(walk_loop)  // two loads that take each other's place in the TLB, each from a page of its own
    "1: movl (%edi), %eax\n"
    "  movl 0x04000000(%edi), %eax\n"
    "  addl $4096, %edi\n"
    END(walk)
    BEGIN(touch)  // a page that nobody has touched before
    "  movl $0x100000, %edi\n"
    "1: movb $1, (%edi)\n"
    "  addl $4096, %edi\n"
    END(touch)
    BEGIN(remap)  // another page in the place of one
    "1: xorl $0x1000, 0x14000\n"
    "  invlpg 0x08000000\n"
    "  movl 0x08000000, %eax\n"
    END(remap)
    BEGIN(switch)  // to the other address space, and back
    "  movl $0x10000, %edx\n"
    "  movl $0x11000, %edi\n"
    "1: movl %edi, %cr3\n"
    "  movl 0x08000000, %eax\n"
    "  movl %edx, %cr3\n"
    "  movl 0x08000000, %eax\n"
    END(switch)
    ".code64\n"
    ".text\n");

static const struct {
  const char *name;
  const uint8_t *begin, *end;
} workloads[] = {
    {"walk", walk_begin, walk_end},
    {"touch", touch_begin, touch_end},
    {"remap", remap_begin, remap_end},
    {"switch", switch_begin, switch_end},
};

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

// Ends the machine: by turning it off after success, and else by a reset, which Testudo takes for a failure.
static _Noreturn void leave(int is_success) {
  enum { magic1 = (int)0xFEE1DEAD, magic2 = 672274793, power_off = 0x4321FEDC, restart = 0x01234567 };
  for (;;) call(sys_reboot, magic1, magic2, is_success ? power_off : restart, 0, 0, 0);
}

static long checked(long result, const char *what) {
  if (result >= 0 || result < -4095) return result;
  say("memory-designs: ");
  say(what);
  say(" failed\n");
  leave(0);
}

#define REQUEST(file, what, argument) checked(call(sys_ioctl, file, (long)(what), (long)(argument), 0, 0, 0), #what)

static void load(const char *module) {
  long file = checked(call(sys_open, (long)module, 0, 0, 0, 0, 0), module);
  checked(call(sys_finit_module, file, (long)"", 0, 0, 0, 0), module);
}

static long map(long size, int is_shared, long file) {
  enum { read_write = 3, shared = 1, private_anonymous = 0x22 };
  return checked(call(sys_mmap, 0, size, read_write, is_shared ? shared : private_anonymous, file, 0), "mmap");
}

static int is_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

// A flat 32-bit segment.
static struct kvm_segment flat(int is_code) {
  struct kvm_segment segment = {
      .limit = 0xFFFFFFFF, .selector = is_code ? 8 : 16, .type = is_code ? 11 : 3, .present = 1, .db = 1, .s = 1, .g = 1};
  return segment;
}

// L2's page tables: its own pages at their own addresses, the regions of walk, and the page that differs between the two
// address spaces.
static void write_tables(uint8_t *memory) {
  enum { present_writable_user = 7, used = 0x60, entry = present_writable_user | used };
  uint32_t *const directories[] = {(uint32_t *)(memory + first_directory), (uint32_t *)(memory + second_directory)};
  uint32_t *identity = (uint32_t *)(memory + identity_tables);
  for (uint32_t page = 0; page < identity_count * 1024; page++) identity[page] = page * page_size | entry;
  for (int space = 0; space < 2; space++) {
    uint32_t table = space == 0 ? first_table : second_table;
    for (uint32_t i = 0; i < identity_count; i++)
      directories[space][i] = (identity_tables + i * page_size) | present_writable_user | 0x20;
    directories[space][changing_entry] = table | present_writable_user | 0x20;
    for (uint32_t i = 0; i < walk_count; i++) {
      uint32_t near = walk_tables + i * page_size, far = near + walk_count * page_size;
      directories[space][near_entry + i] = near | present_writable_user | 0x20;
      directories[space][far_entry + i] = far | present_writable_user | 0x20;
    }
    *(uint32_t *)(memory + table) = (uint32_t)(fresh_pages + space * page_size) | entry;
  }
}

static void write_walk_tables(uint8_t *memory) {
  enum { entry = 0x67 };
  uint32_t *tables = (uint32_t *)(memory + walk_tables);
  for (uint32_t page = 0; page < 2 * walk_count * 1024; page++) tables[page] = (fresh_pages + page * page_size) | entry;
}

static void run(const uint8_t *begin, const uint8_t *end, unsigned long count) {
  enum { character_device = 0020600, kvm_device = 10 << 8 | 232, no_huge_pages = 15 };
  checked(call(sys_mknod, (long)"/kvm", character_device, kvm_device, 0, 0, 0), "mknod");
  long kvm = checked(call(sys_open, (long)"/kvm", 2, 0, 0, 0, 0), "opening /dev/kvm");
  long machine = REQUEST(kvm, KVM_CREATE_VM, 0);
  REQUEST(machine, KVM_SET_TSS_ADDR, task_state_address);
  REQUEST(machine, KVM_CREATE_IRQCHIP, 0);
  long size = fresh_pages + (long)(2 * walk_count * 1024 + 1) * page_size;
  uint8_t *memory = (uint8_t *)map(size, 0, -1);
  // Else Linux would map two MByte at the first touch, and L2 would have one EPT violation for 512 pages.
  call(sys_madvise, (long)memory, size, no_huge_pages, 0, 0, 0);
  struct kvm_userspace_memory_region region = {.memory_size = (uint64_t)size, .userspace_addr = (uint64_t)memory};
  REQUEST(machine, KVM_SET_USER_MEMORY_REGION, &region);
  for (long i = 0; i < end - begin; i++) memory[code_address + i] = begin[i];
  write_tables(memory);
  write_walk_tables(memory);

  long cpu = REQUEST(machine, KVM_CREATE_VCPU, 0);
  struct kvm_run *state = (void *)map(REQUEST(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), 1, cpu);
  struct kvm_sregs special;
  REQUEST(cpu, KVM_GET_SREGS, &special);
  special.cs = flat(1);
  special.ds = special.es = special.ss = flat(0);
  special.cr0 |= 0x80000001;
  special.cr3 = first_directory;
  REQUEST(cpu, KVM_SET_SREGS, &special);
  struct kvm_regs registers = {
      .rip = code_address, .rsp = stack_top, .rcx = count, .rflags = 2};
  REQUEST(cpu, KVM_SET_REGS, &registers);

  REQUEST(cpu, KVM_RUN, 0);
  REQUEST(cpu, KVM_GET_REGS, &registers);
  int is_end = state->exit_reason == KVM_EXIT_IO && state->io.port == end_port && (uint32_t)registers.rcx == 0;
  say(is_end ? "memory-designs: done\n" : "memory-designs: L2 ended in another way\n");
  leave(is_end);
}

// The stack holds the number of arguments, then their addresses.
__attribute__((used)) static _Noreturn void begin(long *stack) {
  const char *const *arguments = (const char *const *)(stack + 1);
  unsigned long count = 0;
  if (stack[0] < 3) checked(-1, "reading the workload and the iterations from the command line");
  for (const char *digit = arguments[2]; *digit >= '0' && *digit <= '9'; digit++)
    count = count * 10 + (unsigned long)(*digit - '0');
  if (count == 0 || count > largest_count) checked(-1, "reading the iterations, 1 to 4000,");
  load("/irqbypass.ko");
  load("/kvm.ko");
  load("/kvm-intel.ko");
  for (unsigned i = 0; i < sizeof workloads / sizeof *workloads; i++)
    if (is_equal(workloads[i].name, arguments[1])) run(workloads[i].begin, workloads[i].end, count);
  checked(-1, "looking for the workload");
  leave(0);
}

__attribute__((naked)) void _start(void) {
  __asm__("mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
}
