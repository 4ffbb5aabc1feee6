/// The instructions that Swift cannot express, each inlined to itself.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define INSTRUCTION static inline __attribute__((always_inline))

// MARK: Ports

INSTRUCTION void out8(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

INSTRUCTION void out32(uint16_t port, uint32_t value) {
  __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

INSTRUCTION uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
  return value;
}

// MARK: Memory-mapped registers

INSTRUCTION void store32(uint64_t address, uint32_t value) {
  __asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

// MARK: Processor

struct cpuid_registers {
  uint32_t eax, ebx, ecx, edx;
};

INSTRUCTION struct cpuid_registers cpuid(uint32_t leaf, uint32_t subleaf) {
  struct cpuid_registers r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

INSTRUCTION void hlt(void) { __asm__ volatile("hlt" : : : "memory"); }

INSTRUCTION uint64_t rdmsr(uint32_t index) {
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
  return (uint64_t)high << 32 | low;
}

INSTRUCTION void wrmsr(uint32_t index, uint64_t value) {
  __asm__ volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

INSTRUCTION uint64_t read_cr0(void) {
  uint64_t value;
  __asm__ volatile("movq %%cr0, %0" : "=r"(value));
  return value;
}

INSTRUCTION void write_cr0(uint64_t value) { __asm__ volatile("movq %0, %%cr0" : : "r"(value) : "memory"); }

INSTRUCTION uint64_t read_cr2(void) {
  uint64_t value;
  __asm__ volatile("movq %%cr2, %0" : "=r"(value));
  return value;
}

INSTRUCTION void write_cr2(uint64_t value) { __asm__ volatile("movq %0, %%cr2" : : "r"(value) : "memory"); }

INSTRUCTION uint64_t read_cr3(void) {
  uint64_t value;
  __asm__ volatile("movq %%cr3, %0" : "=r"(value));
  return value;
}

INSTRUCTION uint64_t read_cr4(void) {
  uint64_t value;
  __asm__ volatile("movq %%cr4, %0" : "=r"(value));
  return value;
}

INSTRUCTION void write_cr4(uint64_t value) { __asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory"); }

INSTRUCTION void load_idt(uint64_t base, uint16_t limit) {
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } pointer = {limit, base};
  __asm__ volatile("lidt %0" : : "m"(pointer));
}

INSTRUCTION void wbinvd(void) { __asm__ volatile("wbinvd" : : : "memory"); }

// MARK: VMX
//
// Each returns whether it failed, that is, whether CF or ZF is set after it (SDM: "Conventions").

INSTRUCTION bool vmxon(uint64_t region) {
  bool failed;
  __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
  return failed;
}

INSTRUCTION bool vmxoff(void) {
  bool failed;
  __asm__ volatile("vmxoff" : "=@ccbe"(failed) : : "memory");
  return failed;
}

INSTRUCTION bool vmclear(uint64_t region) {
  bool failed;
  __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(region) : "memory");
  return failed;
}

INSTRUCTION bool vmptrld(uint64_t region) {
  bool failed;
  __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(region) : "memory");
  return failed;
}

INSTRUCTION bool vmread(uint64_t encoding, uint64_t *value) {
  bool failed;
  __asm__ volatile("vmread %2, %1" : "=@ccbe"(failed), "=r"(*value) : "r"(encoding) : "memory");
  return failed;
}

INSTRUCTION bool vmwrite(uint64_t encoding, uint64_t value) {
  bool failed;
  __asm__ volatile("vmwrite %2, %1" : "=@ccbe"(failed) : "r"(encoding), "r"(value) : "memory");
  return failed;
}

INSTRUCTION bool invept(uint64_t type, uint64_t eptPointer) {
  struct {
    uint64_t eptPointer, reserved;
  } descriptor = {eptPointer, 0};
  bool failed;
  __asm__ volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(type) : "memory");
  return failed;
}

INSTRUCTION bool invvpid(uint64_t type, uint64_t vpid, uint64_t linearAddress) {
  struct {
    uint64_t vpid, linearAddress;
  } descriptor = {vpid, linearAddress};
  bool failed;
  __asm__ volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(type) : "memory");
  return failed;
}

/// A hypercall of ours: a number in RAX and an argument in RBX; the answer comes back in RAX.
INSTRUCTION uint64_t vmcall(uint64_t number, uint64_t argument) {
  uint64_t answer;
  __asm__ volatile("vmcall" : "=a"(answer) : "a"(number), "b"(argument) : "memory");
  return answer;
}
