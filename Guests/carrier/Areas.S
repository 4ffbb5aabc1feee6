// The memory of the carrier beside its code, its data and its stack.

  .bss
  .balign 4096
  // Pages that processors reach by address, and the nested core's own: PagePool.swift.
  .globl page_pool, page_pool_end
page_pool:
  .skip 1536 * 4096
page_pool_end:

  // What the nested core allocates once for its tables: Heap.swift.
  .globl heap, heap_end
heap:
  .skip 64 * 4096
heap_end:
