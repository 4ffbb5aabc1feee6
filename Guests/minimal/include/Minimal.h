/// What `minimal` has in assembly: Areas.S and L2.S.

#pragma once

#include "../../Runtime/include/Symbols.h"

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

/// Where L2 is while it waits for an answer: from the first address up to the second.
ADDRESS(l2_waits)
ADDRESS(l2_waits_end)

/// Computes until somebody else changes RAX, and returns what they made of it.
uint64_t wait_for_answer(void);
