#include "CKVM.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

int ckvm_api_version(int kvm) { return ioctl(kvm, KVM_GET_API_VERSION, 0); }

int ckvm_check_extension(int kvm, int capability) {
  return ioctl(kvm, KVM_CHECK_EXTENSION, (long)capability);
}

const int ckvm_capability_user_space_msr = KVM_CAP_X86_USER_SPACE_MSR;
const int ckvm_capability_sync_regs = KVM_CAP_SYNC_REGS;
const int ckvm_capability_immediate_exit = KVM_CAP_IMMEDIATE_EXIT;
