// The three ways into a guest image, and the way from each of them to `guest_main(commandLine, startInfo, multiboot)` in
// 64-bit mode with interrupts off, our own GDT and TSS, and paging that maps the first 4 GiB to themselves. `startInfo` is
// the hvm_start_info, `multiboot` the Multiboot information; what the loader did not pass is 0.

#define MULTIBOOT_HEADER_MAGIC 0x1BADB002
#define MULTIBOOT_ADDRESS_FIELDS (1 << 16)
#define MULTIBOOT_INFO_HAS_COMMAND_LINE (1 << 2)
#define MULTIBOOT_INFO_COMMAND_LINE 16

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define START_INFO_COMMAND_LINE 24

#define CR0_PE (1 << 0)
#define CR0_PG (1 << 31)
#define CR4_PAE (1 << 5)
#define IA32_EFER 0xC0000080
#define EFER_LME (1 << 8)

#define PAGE_TABLE 0x3 /* present, writable */
#define LARGE_PAGE 0x83 /* present, writable, maps 2 MiB */

#define CODE_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define TSS_SELECTOR 0x18

  .section .multiboot, "a"
  .balign 4
multiboot_header:
  .long MULTIBOOT_HEADER_MAGIC
  .long MULTIBOOT_ADDRESS_FIELDS
  .long -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_ADDRESS_FIELDS)
  .long multiboot_header
  .long image_start
  .long image_loaded_end
  .long image_end
  .long start_multiboot

  .section .note.pvh, "a", @note
  .balign 4
  .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
  .asciz "Xen"
  .long start_pvh

// 32-bit protected mode without paging, EBX = Multiboot information.
  .section .text.boot, "ax"
  .code32
start_multiboot:
  xorl %edi, %edi
  xorl %esi, %esi
  movl %ebx, %ebp
  testl $MULTIBOOT_INFO_HAS_COMMAND_LINE, (%ebx)
  jz enter_long_mode
  movl MULTIBOOT_INFO_COMMAND_LINE(%ebx), %edi
  jmp enter_long_mode

// 32-bit protected mode without paging, EBX = hvm_start_info.
start_pvh:
  movl START_INFO_COMMAND_LINE(%ebx), %edi
  movl %ebx, %esi
  xorl %ebp, %ebp

// EDI = command line or 0, ESI = hvm_start_info or 0, EBP = Multiboot information or 0.
enter_long_mode:
  cli
  // One PML4 entry, four PDPT entries, 4 x 512 large pages.
  movl $(boot_pdpt + PAGE_TABLE), boot_pml4
  movl $(boot_pds + PAGE_TABLE + 0x0000), boot_pdpt
  movl $(boot_pds + PAGE_TABLE + 0x1000), boot_pdpt + 8
  movl $(boot_pds + PAGE_TABLE + 0x2000), boot_pdpt + 16
  movl $(boot_pds + PAGE_TABLE + 0x3000), boot_pdpt + 24
  movl $LARGE_PAGE, %eax
  xorl %ecx, %ecx
1:
  movl %eax, boot_pds(, %ecx, 8)
  addl $0x200000, %eax
  incl %ecx
  cmpl $(4 * 512), %ecx
  jb 1b

  movl $boot_pml4, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $CR4_PAE, %eax
  movl %eax, %cr4
  movl $IA32_EFER, %ecx
  rdmsr
  orl $EFER_LME, %eax
  wrmsr
  movl %cr0, %eax
  orl $(CR0_PG | CR0_PE), %eax
  movl %eax, %cr0
  lgdt gdt_pointer
  ljmpl $CODE_SELECTOR, $start_long_mode

  .code64
start_long_mode:
  // The upper halves are undefined after the change of mode.
  movl %edi, %edi
  movl %esi, %esi
  movl %ebp, %edx
  jmp start_with_stack

// 64-bit mode with identity-mapped paging, which stays in use; RDI = hvm_start_info or 0.
  .globl start64
start64:
  cli
  movq %rdi, %rsi
  xorl %edx, %edx
  testq %rdi, %rdi
  jz 1f
  movq START_INFO_COMMAND_LINE(%rdi), %rdi
1:
  lgdt gdt_pointer
  movl $boot_stack_top, %esp
  pushq $CODE_SELECTOR
  pushq $start_with_stack
  lretq

start_with_stack:
  movl $boot_stack_top, %esp
  movl $DATA_SELECTOR, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs
  // The host state of a VMCS needs a task register; a TSS descriptor scatters its base over three places.
  movl $tss, %eax
  movw %ax, tss_descriptor + 2
  shrl $16, %eax
  movb %al, tss_descriptor + 4
  movb %ah, tss_descriptor + 7
  movl $TSS_SELECTOR, %eax
  ltr %ax
  cld
  xorl %ebp, %ebp
  call guest_main
  ud2

  .data
  .balign 16
  .globl gdt
gdt:
  .quad 0
  .quad 0x00AF9B000000FFFF // 64-bit code
  .quad 0x00CF93000000FFFF // data
tss_descriptor:
  .quad 0x0000890000000067 // available 64-bit TSS of 104 bytes
  .quad 0
gdt_end:
gdt_pointer:
  .word gdt_end - gdt - 1
  .quad gdt

  .bss
  .balign 4096
boot_pml4:
  .skip 4096
boot_pdpt:
  .skip 4096
boot_pds:
  .skip 4 * 4096
  .skip 16 * 4096
  .globl boot_stack_top
boot_stack_top:
  .balign 16
  .globl tss
tss:
  .skip 104
