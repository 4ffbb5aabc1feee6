// L2s that do one thing with their memory.

#include "../l1.h"

static const char *const name = "memory-designs";
const unsigned long largest_count = 4000;

// Where L2 has its page tables, in its own physical memory.
enum {
  first_directory = 0x10000, second_directory = 0x11000, first_table = 0x14000, second_table = 0x15000,
  identity_tables = 0x18000, walk_tables = 0x30000, identity_count = 8, walk_count = 4,
};
// What L2 has at other linear addresses: a page that remap and switch change, and for walk two regions of 16 MByte, whose
// pages have the same places in the processor's TLB.
enum { changing_entry = 32, near_entry = 64, far_entry = 80 };

// With page tables of its own, and its iterations between two CPUIDs, which are what is measured. The page directories are
// those above; at 0x08000000 is the page that changes, and 0x10000000 and 0x14000000 begin the two regions.
#define BEGIN(name) #name "_begin:\n movl %ecx, %esi\n xorl %eax, %eax\n cpuid\n movl %esi, %ecx\n"
#define END(name) " decl %ecx\n jnz 1b\n xorl %eax, %eax\n cpuid\n xorl %ecx, %ecx\n outb %al, $0xF4\n" #name "_end:\n"
extern const uint8_t walk_begin[], walk_end[], touch_begin[], touch_end[];
extern const uint8_t remap_begin[], remap_end[], switch_begin[], switch_end[];
__asm__(
    ".section .rodata\n"
    ".code32\n"
    "walk_begin:\n"  // so that L1 has all pages there already
    "  movl $0x10000000, %edi\n"
    "2: movl (%edi), %eax\n"
    "  movl 0x04000000(%edi), %eax\n"
    "  addl $4096, %edi\n"
    "  cmpl $0x11000000, %edi\n"
    "  jne 2b\n"
    "  movl $0x10000000, %edi\n"
    BEGIN(walk_loop)  // two loads that take each other's place in the TLB, each from a page of its own
    "1: movl (%edi), %eax\n"
    "  movl 0x04000000(%edi), %eax\n"
    "  addl $4096, %edi\n"
    END(walk)
    BEGIN(touch)  // a page that nobody has touched before
    "  movl $0x100000, %edi\n"
    "1: movb $1, (%edi)\n"
    "  addl $4096, %edi\n"
    END(touch)
    BEGIN(remap)  // another page in the place of one
    "1: xorl $0x1000, 0x14000\n"
    "  invlpg 0x08000000\n"
    "  movl 0x08000000, %eax\n"
    END(remap)
    BEGIN(switch)  // to the other address space, and back
    "  movl $0x10000, %edx\n"
    "  movl $0x11000, %edi\n"
    "1: movl %edi, %cr3\n"
    "  movl 0x08000000, %eax\n"
    "  movl %edx, %cr3\n"
    "  movl 0x08000000, %eax\n"
    END(switch)
    ".code64\n"
    ".text\n");

const struct workload workloads[] = {
    {"walk", walk_begin, walk_end},
    {"touch", touch_begin, touch_end},
    {"remap", remap_begin, remap_end},
    {"switch", switch_begin, switch_end},
    {0, 0, 0},
};

// L2's page tables: its own pages at their own addresses, the regions of walk, and the page that differs between the two
// address spaces.
static void write_tables(uint8_t *memory) {
  enum { present_writable_user = 7, used = 0x60, entry = present_writable_user | used };
  uint32_t *const directories[] = {(uint32_t *)(memory + first_directory), (uint32_t *)(memory + second_directory)};
  uint32_t *identity = (uint32_t *)(memory + identity_tables);
  for (uint32_t page = 0; page < identity_count * 1024; page++) identity[page] = page * page_size | entry;
  for (int space = 0; space < 2; space++) {
    uint32_t table = space == 0 ? first_table : second_table;
    for (uint32_t i = 0; i < identity_count; i++)
      directories[space][i] = (identity_tables + i * page_size) | present_writable_user | 0x20;
    directories[space][changing_entry] = table | present_writable_user | 0x20;
    for (uint32_t i = 0; i < walk_count; i++) {
      uint32_t near = walk_tables + i * page_size, far = near + walk_count * page_size;
      directories[space][near_entry + i] = near | present_writable_user | 0x20;
      directories[space][far_entry + i] = far | present_writable_user | 0x20;
    }
    *(uint32_t *)(memory + table) = (uint32_t)(fresh_pages + space * page_size) | entry;
  }
}

static void write_walk_tables(uint8_t *memory) {
  enum { entry = 0x67 };
  uint32_t *tables = (uint32_t *)(memory + walk_tables);
  for (uint32_t page = 0; page < 2 * walk_count * 1024; page++) tables[page] = (fresh_pages + page * page_size) | entry;
}

static unsigned long fresh_page_count(unsigned long count) {
  (void)count;
  return 2 * walk_count * 1024 + 1;
}

static void prepare(uint8_t *memory, struct kvm_sregs *special) {
  write_tables(memory);
  write_walk_tables(memory);
  special->cr0 |= 0x80000000;
  special->cr3 = first_directory;
}
