#define _GNU_SOURCE
#include "CKVM.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// MARK: /dev/kvm

int ckvm_api_version(int kvm) { return ioctl(kvm, KVM_GET_API_VERSION, 0); }

int ckvm_check_extension(int kvm, int capability) {
  return ioctl(kvm, KVM_CHECK_EXTENSION, (long)capability);
}

int ckvm_create_vm(int kvm) {
  int vm;
  // A signal may interrupt it (kernel documentation, KVM_CREATE_VM).
  do vm = ioctl(kvm, KVM_CREATE_VM, 0L);
  while (vm < 0 && errno == EINTR);
  return vm;
}

int ckvm_vcpu_mmap_size(int kvm) { return ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0); }

const int ckvm_capability_user_space_msr = KVM_CAP_X86_USER_SPACE_MSR;
const int ckvm_capability_sync_regs = KVM_CAP_SYNC_REGS;
const int ckvm_capability_immediate_exit = KVM_CAP_IMMEDIATE_EXIT;
const int ckvm_capability_guest_debug = KVM_CAP_SET_GUEST_DEBUG;
const int ckvm_capability_user_memory = KVM_CAP_USER_MEMORY;

// MARK: A virtual machine

int ckvm_create_vcpu(int vm) { return ioctl(vm, KVM_CREATE_VCPU, 0L); }

int ckvm_set_memory(int vm, uint32_t slot, uint64_t guest, uint64_t size, uint64_t host) {
  struct kvm_userspace_memory_region region = {
      .slot = slot, .guest_phys_addr = guest, .memory_size = size, .userspace_addr = host};
  return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

int ckvm_deny_msrs(int vm) {
  struct kvm_enable_cap exits = {.cap = KVM_CAP_X86_USER_SPACE_MSR};
  exits.args[0] = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
  if (ioctl(vm, KVM_ENABLE_CAP, &exits) < 0) return -1;
  struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_DENY};
  // A filter of no range is the same as none; this one denies a range that has no MSR.
  __u8 bitmap[8] = {0};
  filter.ranges[0].flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
  filter.ranges[0].base = 0x4000;
  filter.ranges[0].nmsrs = 1;
  filter.ranges[0].bitmap = bitmap;
  return ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter);
}

int ckvm_keep_hypercalls(int kvm, int vm) {
#if defined(KVM_CAP_DISABLE_QUIRKS2) && defined(KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
  int quirks = ckvm_check_extension(kvm, KVM_CAP_DISABLE_QUIRKS2);
  if (quirks > 0 && quirks & KVM_X86_QUIRK_FIX_HYPERCALL_INSN) {
    struct kvm_enable_cap keep = {.cap = KVM_CAP_DISABLE_QUIRKS2};
    keep.args[0] = KVM_X86_QUIRK_FIX_HYPERCALL_INSN;
    return ioctl(vm, KVM_ENABLE_CAP, &keep);
  }
#endif
  errno = EOPNOTSUPP;
  return -1;
}

// MARK: A virtual CPU

int ckvm_offer_features(int kvm, int vcpu) {
  int count = 256;
  size_t size = sizeof(struct kvm_cpuid2) + count * sizeof(struct kvm_cpuid_entry2);
  struct kvm_cpuid2 *table = calloc(1, size);
  if (!table) return -1;
  table->nent = count;
  int result = ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table);
  if (result >= 0) result = ioctl(vcpu, KVM_SET_CPUID2, table);
  int error = errno;
  free(table);
  errno = error;
  return result;
}

int ckvm_get_sregs(int vcpu, struct kvm_sregs *registers) { return ioctl(vcpu, KVM_GET_SREGS, registers); }

int ckvm_step(int vcpu, bool on) {
  struct kvm_guest_debug debug = {.control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0};
  return ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

int ckvm_run(int vcpu, struct kvm_run *run) {
  int error = ioctl(vcpu, KVM_RUN, 0) < 0 ? errno : 0;
  run->kvm_dirty_regs = 0;
  return error;
}

// MARK: Memory

int ckvm_memory_file(const char *name, uint64_t size) {
  int file = memfd_create(name, MFD_CLOEXEC);
  if (file < 0) return -1;
  if (ftruncate(file, (off_t)size) < 0) {
    int error = errno;
    close(file);
    errno = error;
    return -1;
  }
  return file;
}

// MARK: Kicks

static _Thread_local struct kvm_run *volatile kicked_run;
static _Thread_local volatile uint32_t kick_count;

static int kick_signal(void) { return SIGRTMIN + 2; }

// A signal that comes before KVM_RUN would be lost without the flag; one that comes during it ends it anyway.
static void end_run(int signal) {
  (void)signal;
  kick_count++;
  struct kvm_run *run = kicked_run;
  if (run) ckvm_set_immediate_exit(run, true);
}

int ckvm_prepare_kicks(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = end_run;
  // KVM_RUN ends all the same.
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(kick_signal(), &action, NULL);
}

void ckvm_accept_kicks(struct kvm_run *run) { kicked_run = run; }

int ckvm_this_thread(void) {
  static _Thread_local int thread;
  if (!thread) thread = (int)syscall(SYS_gettid);
  return thread;
}

void ckvm_kick(int thread) { syscall(SYS_tgkill, getpid(), thread, kick_signal()); }

long ckvm_create_timer(void) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = kick_signal();
  event._sigev_un._tid = ckvm_this_thread();
  // Threads of a pool may have every signal blocked.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, kick_signal());
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) return -1;
  return (long)timer;
}

void ckvm_set_timer(long timer, uint64_t nanoseconds) {
  struct itimerspec time = {
      .it_value = {
          .tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)}};
  timer_settime((timer_t)timer, 0, &time, NULL);
}

uint32_t ckvm_kick_count(void) { return kick_count; }

void ckvm_delete_timer(long timer) { timer_delete((timer_t)timer); }

static uint64_t clock_time(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t ckvm_time(void) { return clock_time(CLOCK_MONOTONIC); }

uint64_t ckvm_thread_time(void) { return clock_time(CLOCK_THREAD_CPUTIME_ID); }
