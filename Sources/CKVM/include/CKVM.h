// The interface of /dev/kvm, as far as Swift cannot import it: ioctls that the C preprocessor composes, the unions of
// the page that a virtual CPU shares with the kernel, and the signal that ends a run.
//
// A function that performs an ioctl returns its result, or -1 with errno set.
#ifndef CKVM_H
#define CKVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

// MARK: /dev/kvm

/// The version of the KVM interface that `kvm` speaks (12 since Linux 2.6.22).
int ckvm_api_version(int kvm);
/// What KVM_CHECK_EXTENSION says of `capability`: 0 if it is absent.
int ckvm_check_extension(int kvm, int capability);
/// A new virtual machine's file descriptor.
int ckvm_create_vm(int kvm);
/// The size in bytes of the page that a virtual CPU shares.
int ckvm_vcpu_mmap_size(int kvm);

extern const int ckvm_capability_user_space_msr;
extern const int ckvm_capability_sync_regs;
extern const int ckvm_capability_immediate_exit;
extern const int ckvm_capability_guest_debug;
extern const int ckvm_capability_user_memory;

// MARK: A virtual machine

int ckvm_create_vcpu(int vm);
/// Makes guest-physical addresses from `guest` the `size` bytes of host memory at `host`.
int ckvm_set_memory(int vm, uint32_t slot, uint64_t guest, uint64_t size, uint64_t host);
/// Has every RDMSR and WRMSR of the guest come to user space.
int ckvm_deny_msrs(int vm);
/// Keeps KVM from rewriting VMCALL and VMMCALL; -1 if it always does.
int ckvm_keep_hypercalls(int kvm, int vm);

// MARK: A virtual CPU

/// Gives the guest every feature that KVM has.
int ckvm_offer_features(int kvm, int vcpu);
int ckvm_get_sregs(int vcpu, struct kvm_sregs *registers);
/// Has the guest exit behind each instruction, or no longer.
int ckvm_step(int vcpu, bool on);
/// Runs the guest until it exits: 0, or an errno.
int ckvm_run(int vcpu, struct kvm_run *run);

static inline struct kvm_regs *ckvm_regs(struct kvm_run *run) { return &run->s.regs.regs; }
static inline struct kvm_sregs *ckvm_sregs(struct kvm_run *run) { return &run->s.regs.sregs; }
/// The vector of the exception that the guest met last, as far as KVM keeps it.
static inline uint8_t ckvm_exception(struct kvm_run *run) { return run->s.regs.events.exception.nr; }

/// Has the kernel leave the general-purpose registers, RIP and RFLAGS in the page at each exit, and `events` too.
static inline void ckvm_want(struct kvm_run *run, bool events) {
  run->kvm_valid_regs = KVM_SYNC_X86_REGS | (events ? KVM_SYNC_X86_EVENTS : 0);
}
/// Has the next run begin with the registers in the page.
static inline void ckvm_load(struct kvm_run *run, bool regs, bool sregs) {
  run->kvm_dirty_regs |= (regs ? KVM_SYNC_X86_REGS : 0) | (sregs ? KVM_SYNC_X86_SREGS : 0);
}
/// Has the next run begin without a pending event.
static inline void ckvm_clear_events(struct kvm_run *run) {
  __builtin_memset(&run->s.regs.events, 0, sizeof run->s.regs.events);
  run->kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
}
static inline bool ckvm_loads_sregs(struct kvm_run *run) { return run->kvm_dirty_regs & KVM_SYNC_X86_SREGS; }

static inline uint32_t ckvm_exit_reason(struct kvm_run *run) { return run->exit_reason; }
static inline void ckvm_set_immediate_exit(struct kvm_run *run, bool on) {
  __atomic_store_n(&run->immediate_exit, on, __ATOMIC_RELAXED);
}

static inline uint64_t ckvm_mmio_address(struct kvm_run *run) { return run->mmio.phys_addr; }
static inline uint32_t ckvm_mmio_length(struct kvm_run *run) { return run->mmio.len <= 8 ? run->mmio.len : 8; }
static inline bool ckvm_mmio_is_write(struct kvm_run *run) { return run->mmio.is_write; }
static inline uint8_t *ckvm_mmio_data(struct kvm_run *run) { return run->mmio.data; }
static inline uint32_t ckvm_suberror(struct kvm_run *run) { return run->internal.suberror; }
static inline uint64_t ckvm_entry_failure(struct kvm_run *run) { return run->fail_entry.hardware_entry_failure_reason; }
static inline bool ckvm_io_is_out(struct kvm_run *run) { return run->io.direction == KVM_EXIT_IO_OUT; }
static inline uint32_t ckvm_io_port(struct kvm_run *run) { return run->io.port; }

// MARK: Memory

/// A file of `size` bytes of memory without a name.
int ckvm_memory_file(const char *name, uint64_t size);

// MARK: Kicks

/// Installs the handler of the signal that ends a KVM_RUN; once for the process.
int ckvm_prepare_kicks(void);
/// The calling thread's own run: the signal makes its KVM_RUN return at once with EINTR. NULL for none.
void ckvm_accept_kicks(struct kvm_run *run);
/// The calling thread, to be kicked.
int ckvm_this_thread(void);
/// Sends the signal to `thread` of this process, if there still is one. Safe in a signal handler.
void ckvm_kick(int thread);
/// A timer that kicks the calling thread, which takes kicks from now on, or -1.
long ckvm_create_timer(void);
/// Has the timer expire once in so many nanoseconds; 0 stops it.
void ckvm_set_timer(long timer, uint64_t nanoseconds);
/// How many kicks the calling thread has had.
uint32_t ckvm_kick_count(void);
void ckvm_delete_timer(long timer);
/// A clock in nanoseconds that never goes back.
uint64_t ckvm_time(void);
/// How long the calling thread has run on a processor, in nanoseconds.
uint64_t ckvm_thread_time(void);

#endif
