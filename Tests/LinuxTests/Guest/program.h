// What the KVM programs that LinuxTests run in Linux share: messages, and a virtual machine.

#include "../../../Guests/linux/system.h"

#include <linux/kvm.h>

// Where KVM may keep three pages of its own for guests in real-address mode.
enum { task_state_address = 0xFFFBD000u };

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
