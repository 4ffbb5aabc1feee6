// The least that a program on /dev/kvm does for a trap of its guest: KVM_RUN with the registers in the shared page, up to
// HLT, and RIP set behind the instruction that HLT stands for. Prints nanoseconds per trap. The guest is the loop of
// Benchmarks/kvm-trap-cost, already patched.
//
// Usage: kvm-loop TRAPS

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

static void check(long result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(71);
}

static struct kvm_segment segment(int code) {
  return (struct kvm_segment){
      .limit = ~0u, .selector = code ? 8 : 16, .type = code ? 11 : 3, .present = 1, .s = 1, .l = code, .db = !code, .g = 1};
}

int main(int count, char **arguments) {
  long traps = count > 1 ? atol(arguments[1]) : 20000;
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  check(kvm, "/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0L);
  check(vm, "KVM_CREATE_VM");
  size_t size = 1 << 21;
  uint8_t *ram = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct kvm_userspace_memory_region memory = {.memory_size = size, .userspace_addr = (uint64_t)ram};
  check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory), "KVM_SET_USER_MEMORY_REGION");
  int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0L);
  check(vcpu, "KVM_CREATE_VCPU");
  struct {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[256];
  } features = {.head = {.nent = 256}};
  check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &features), "KVM_GET_SUPPORTED_CPUID");
  check(ioctl(vcpu, KVM_SET_CPUID2, &features), "KVM_SET_CPUID2");
  struct kvm_run *run = mmap(
      0, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

  // One large page, mapped to itself; xorl %eax, %eax; hlt, nop for cpuid; decl %ebp; jnz.
  uint64_t *table = (uint64_t *)ram;
  table[0x1000 / 8] = 0x2003;
  table[0x2000 / 8] = 0x3003;
  table[0x3000 / 8] = 0x83;
  memcpy(ram + 0x8000, "\x31\xc0\xf4\x90\xff\xcd\x75\xf8", 8);

  struct kvm_sregs special;
  check(ioctl(vcpu, KVM_GET_SREGS, &special), "KVM_GET_SREGS");
  special.cs = segment(1);
  special.ds = special.es = special.fs = special.gs = special.ss = segment(0);
  special.cr0 = 0x80010031;
  special.cr3 = 0x1000;
  special.cr4 = 0x20;
  special.efer = 0x500;
  check(ioctl(vcpu, KVM_SET_SREGS, &special), "KVM_SET_SREGS");
  struct kvm_regs *registers = &run->s.regs.regs;
  *registers = (struct kvm_regs){.rip = 0x8000, .rsp = 0x9000, .rbp = (uint64_t)traps, .rflags = 2};
  run->kvm_valid_regs = KVM_SYNC_X86_REGS;

  struct timespec start, end;
  for (long trap = -100; trap < traps; trap++) {
    if (trap == 0) clock_gettime(CLOCK_MONOTONIC, &start);
    if (trap <= 0) registers->rbp = (uint64_t)traps + 1;
    run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
    check(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
    if (run->exit_reason != KVM_EXIT_HLT) {
      fprintf(stderr, "exit reason %u\n", run->exit_reason);
      return 70;
    }
    registers->rip = registers->rip - 1 + 2;
    registers->rax = registers->rbx = registers->rcx = registers->rdx = 0;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.0f\n", ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / traps);
}
