// The memory of `minimal`: what L1 keeps for itself, and what L2 may touch.

  .bss
  .balign 4096
  // VMXON region, VMCS, bitmaps and EPT tables: L1Pages.swift hands them out one by one.
  .globl l1_pages, l1_pages_end
l1_pages:
  .skip 16 * 4096
l1_pages_end:

  // The pages that L2 finds in its window: EPTWindow.swift.
  .globl window_pool
window_pool:
  .skip 256 * 4096

  .section .l2, "aw", @nobits
  .balign 4096
  .globl l2_memory, l2_memory_end, l2_page_tables, l2_stack_top, l2_scratch
l2_memory:
l2_page_tables:
  .skip 4 * 4096
  .skip 2 * 4096
l2_stack_top:
l2_scratch:
  .skip 3 * 4096
l2_memory_end:
