/// Addresses that the assembler and the linker script define, and functions in assembly.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS(symbol)                                                                                      \
  extern unsigned char symbol[];                                                                             \
  static inline uint64_t address_of_##symbol(void) { return (uint64_t)symbol; }

ADDRESS(image_start)
ADDRESS(image_code_end)
ADDRESS(image_end)
ADDRESS(gdt)
ADDRESS(tss)
ADDRESS(boot_stack_top)
ADDRESS(idt)
ADDRESS(exception_entries)

// Instructions that may fault: each function returns whether it did not.

bool try_rdmsr(uint32_t index, uint64_t *value);
bool try_wrmsr(uint32_t index, uint64_t value);
bool try_xsetbv(uint32_t index, uint64_t value);
