// The names by which Embedded Swift asks for memory, which Swift code may not define.

  .section .text.posix_memalign, "ax"
  .globl posix_memalign
posix_memalign: // RDI = where to put the address, RSI = alignment, RDX = size
  jmp heap_allocate

  .section .text.free, "ax"
  .globl free
free: // RDI = block or 0
  jmp heap_free
