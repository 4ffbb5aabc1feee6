// The ioctls of /dev/kvm, which the C preprocessor composes and Swift therefore cannot import.
#ifndef CKVM_H
#define CKVM_H

/// The version of the KVM interface that `kvm` speaks (12 since Linux 2.6.22), or -1 with errno set.
int ckvm_api_version(int kvm);

/// What KVM_CHECK_EXTENSION says of `capability`: 0 if it is absent, or -1 with errno set.
int ckvm_check_extension(int kvm, int capability);

/// The capability number of user-space handling of model-specific registers (KVM_CAP_X86_USER_SPACE_MSR).
extern const int ckvm_capability_user_space_msr;
/// The capability number of register exchange through the shared page (KVM_CAP_SYNC_REGS).
extern const int ckvm_capability_sync_regs;
/// The capability number of leaving KVM_RUN at once (KVM_CAP_IMMEDIATE_EXIT).
extern const int ckvm_capability_immediate_exit;

#endif
