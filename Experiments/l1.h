// The first and only process of a Linux that is L1, as the experiments have it: it loads KVM, runs an L2 for one workload,
// and turns the machine off. Linux hands it the workload and the number of iterations as arguments.
//
// An experiment says what its workloads are, how many iterations they may have at the most, how many bytes of memory L2
// has beside the pages that a workload touches, and what L2 begins with.

#include "../Guests/linux/system.h"

#include <linux/kvm.h>

// Where L2 has its code and its stack, in its own physical memory: all of it is one region, whose pages L1 gets when L2
// touches them.
enum { code_address = 0x1000, stack_top = 0x8000, fresh_pages = 0x100000, page_size = 4096 };
// Where KVM may keep pages of its own: outside that region.
enum { task_state_address = 0xFFFBD000u };
// The port by which L2 says that it is done.
enum { end_port = 0xF4 };

// What L2 executes, in 32-bit protected mode: ECX iterations, with EDI at the first fresh page.
struct workload {
  const char *name;
  const uint8_t *begin, *end;
};

// The experiment's own, the last without a name.
extern const struct workload workloads[];
extern const unsigned long largest_count;
// The number of fresh pages that L2 has for `count` iterations.
static unsigned long fresh_page_count(unsigned long count);
// Writes what L2 begins with beside its code, and has it use paging if it is to.
static void prepare(uint8_t *memory, struct kvm_sregs *special);

// Ends the machine: by turning it off after success, and else by a reset, which Testudo takes for a failure.
static _Noreturn void leave(int status) {
  enum { magic1 = (int)0xFEE1DEAD, magic2 = 672274793, power_off = 0x4321FEDC, restart = 0x01234567 };
  for (;;) call(sys_reboot, magic1, magic2, status == 0 ? power_off : restart, 0, 0, 0);
}

static void load(const char *module) {
  long file = checked(call(sys_open, (long)module, 0, 0, 0, 0, 0), module);
  checked(call(sys_finit_module, file, (long)"", 0, 0, 0, 0), module);
}

// A flat 32-bit segment.
static struct kvm_segment flat(int is_code) {
  struct kvm_segment segment = {
      .limit = 0xFFFFFFFF, .selector = is_code ? 8 : 16, .type = is_code ? 11 : 3, .present = 1, .db = 1, .s = 1, .g = 1};
  return segment;
}

static void run_l2(const struct workload *workload, unsigned long count) {
  enum { character_device = 0020600, kvm_device = 10 << 8 | 232, no_huge_pages = 15 };
  checked(call(sys_mknod, (long)"/kvm", character_device, kvm_device, 0, 0, 0), "mknod");
  long kvm = open_file("/kvm");
  long machine = REQUEST(kvm, KVM_CREATE_VM, 0);
  REQUEST(machine, KVM_SET_TSS_ADDR, task_state_address);
  REQUEST(machine, KVM_CREATE_IRQCHIP, 0);
  long size = fresh_pages + (long)fresh_page_count(count) * page_size;
  uint8_t *memory = (uint8_t *)map(size, 0, -1);
  // Else Linux would map two MByte at the first touch, and L2 would have one EPT violation for 512 pages.
  call(sys_madvise, (long)memory, size, no_huge_pages, 0, 0, 0);
  struct kvm_userspace_memory_region region = {.memory_size = (uint64_t)size, .userspace_addr = (uint64_t)memory};
  REQUEST(machine, KVM_SET_USER_MEMORY_REGION, &region);
  for (long i = 0; i < workload->end - workload->begin; i++) memory[code_address + i] = workload->begin[i];

  long cpu = REQUEST(machine, KVM_CREATE_VCPU, 0);
  struct kvm_run *state = (void *)map(REQUEST(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), 1, cpu);
  struct kvm_sregs special;
  REQUEST(cpu, KVM_GET_SREGS, &special);
  special.cs = flat(1);
  special.ds = special.es = special.ss = flat(0);
  special.cr0 |= 1;
  prepare(memory, &special);
  REQUEST(cpu, KVM_SET_SREGS, &special);
  struct kvm_regs registers = {
      .rip = code_address, .rsp = stack_top, .rcx = count, .rdi = fresh_pages, .rflags = 2};
  REQUEST(cpu, KVM_SET_REGS, &registers);

  REQUEST(cpu, KVM_RUN, 0);
  REQUEST(cpu, KVM_GET_REGS, &registers);
  int is_end = state->exit_reason == KVM_EXIT_IO && state->io.port == end_port && (uint32_t)registers.rcx == 0;
  say(name);
  say(is_end ? ": done\n" : ": L2 ended in another way\n");
  leave(!is_end);
}

static void run(int count, const char *const *arguments) {
  if (count < 3) checked(-1, "reading the workload and the iterations from the command line");
  unsigned long iterations = number_of(arguments[2]);
  if (iterations == 0 || iterations > largest_count) {
    say("At most ");
    say_number(largest_count);
    say(" iterations.\n");
    checked(-1, "reading the number of iterations");
  }
  load("/irqbypass.ko");
  load("/kvm.ko");
  load("/kvm-intel.ko");
  for (const struct workload *workload = workloads; workload->name; workload++)
    if (is_equal(workload->name, arguments[1])) run_l2(workload, iterations);
  checked(-1, "looking for the workload");
}
