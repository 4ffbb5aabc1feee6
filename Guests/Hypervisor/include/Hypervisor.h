/// What every guest hypervisor has in assembly: EnterGuest.S.

#pragma once

#include "../../Runtime/include/Symbols.h"

#include <stdbool.h>

/// Where every VM exit continues: the host RIP.
ADDRESS(guest_exited)

/// Runs the guest of the current VMCS with VMLAUNCH, or if `launched` with VMRESUME, until its next VM exit.
///
/// `registers` is a `RegisterFile`: the guest's general-purpose registers, loaded from it before and stored to it after.
/// Returns whether the instruction failed, so that the guest did not run.
bool enter_guest(void *registers, bool launched);
