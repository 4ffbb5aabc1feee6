/// What `minimal` has in assembly: Areas.S and EnterL2.S.

#pragma once

#include "../../Runtime/include/Symbols.h"

#include <stdbool.h>
#include <stdint.h>

ADDRESS(l1_pages)
ADDRESS(l1_pages_end)
ADDRESS(window_pool)
ADDRESS(l2_memory)
ADDRESS(l2_memory_end)
ADDRESS(l2_page_tables)
ADDRESS(l2_stack_top)
ADDRESS(l2_scratch)
ADDRESS(l2_start)
ADDRESS(l2_exited)

/// Where L2 is while it waits for an answer: from the first address up to the second.
ADDRESS(l2_waits)
ADDRESS(l2_waits_end)

/// Computes until somebody else changes RAX, and returns what they made of it.
uint64_t wait_for_answer(void);

/// Runs L2 with VMLAUNCH, or if `launched` with VMRESUME, until its next VM exit.
///
/// `registers` is a `RegisterFile`: L2's general-purpose registers, loaded from it before and stored to it after.
/// Returns whether the instruction failed, so that L2 did not run.
bool enter_l2(void *registers, bool launched);
