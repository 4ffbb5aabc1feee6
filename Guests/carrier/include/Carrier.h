/// What the carrier has in assembly: Areas.S.

#pragma once

#include "../../Runtime/include/Symbols.h"

ADDRESS(page_pool)
ADDRESS(page_pool_end)
ADDRESS(heap)
ADDRESS(heap_end)
