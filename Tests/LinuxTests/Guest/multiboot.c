// A KVM program without a C library: it runs a Multiboot 1 image, such as that of a guest of Testudo's own, with the words
// of its other arguments as the command line. The image gets VMX from KVM if `nested` lets it; it writes to the first
// serial port and ends by a write to port 0xF4.
//
// Source: the Multiboot Specification version 0.6.96, "OS image format", "Machine state", "Boot information format".

#include "program.h"

static const char *const name = "multiboot";

enum { memory_size = 64 << 20, information_address = 0x1000, line_address = 0x2000, largest_line = 0x1000 };
enum { largest_image = 1 << 20, header_limit = 8192 };
enum { serial_port = 0x3F8, line_control = 3, is_divisor_latch = 0x80, line_status = 5, transmitter_is_empty = 0x60, end_port = 0xF4 };
enum { has_address_fields = 1 << 16, has_command_line = 1 << 2, boot_magic = 0x2BADB002 };

struct multiboot_header {
  uint32_t magic, flags, checksum, header_address, load_address, load_end, bss_end, entry;
};

struct multiboot_information {
  uint32_t flags, memory_lower, memory_upper, boot_device, command_line;
};

// The whole file at `path`; `size` gets its length.
static const uint8_t *read_file(const char *path, long *size) {
  enum { read_only = 0, sys_read = 0 };
  uint8_t *bytes = (uint8_t *)map(largest_image, 0, -1);
  long file = checked(call(sys_open, (long)path, read_only, 0, 0, 0, 0), path);
  for (*size = 0;;) {
    long count = checked(call(sys_read, file, (long)(bytes + *size), largest_image - *size, 0, 0, 0), path);
    if (count == 0) return bytes;
    *size += count;
  }
}

// Copies the image to where its header says, and gives its entry.
static uint32_t load(uint8_t *memory, const uint8_t *image, long size) {
  for (long at = 0; at + (long)sizeof(struct multiboot_header) <= size && at < header_limit; at += 4) {
    const struct multiboot_header *header = (const void *)(image + at);
    if (header->magic != 0x1BADB002 || header->magic + header->flags + header->checksum != 0) continue;
    if (!(header->flags & has_address_fields)) fail("the image has no address fields, flags", header->flags);
    long first = at - (long)(header->header_address - header->load_address);
    long length = (long)header->load_end - header->load_address;
    if (first < 0 || first + length > size || (long)header->bss_end > memory_size)
      fail("the image does not fit, of bytes", (unsigned long)length);
    for (long i = 0; i < length; i++) memory[header->load_address + i] = image[first + i];
    return header->entry;
  }
  fail("the image has no Multiboot header, of bytes", (unsigned long)size);
}

static void join(char *line, int count, const char *const *words) {
  int length = 0;
  for (int i = 0; i < count; i++) {
    if (i) line[length++] = ' ';
    for (const char *next = words[i]; *next && length < largest_line - 2; next++) line[length++] = *next;
  }
  line[length] = 0;
}

// Performs an access of a port; true at the one that ends the run, with what was written in `result`.
static int access(struct kvm_run *state, uint32_t *result) {
  static uint8_t control;
  uint8_t *data = port_data(state);
  if (state->io.direction == KVM_EXIT_IO_IN) {
    for (unsigned i = 0; i < state->io.size * state->io.count; i++)
      data[i] = state->io.port == serial_port + line_status ? transmitter_is_empty : 0xFF;
  } else if (state->io.port == serial_port + line_control) {
    control = *data;
  } else if (state->io.port == serial_port && !(control & is_divisor_latch)) {
    call(sys_write, 1, (long)data, state->io.count, 0, 0, 0);
  } else if (state->io.port == end_port) {
    *result = *data;
    return 1;
  }
  return 0;
}

static void run(int count, const char *const *arguments) {
  if (count < 2) fail("expected an image and its command line, got arguments:", (unsigned long)count - 1);
  long size;
  const uint8_t *image = read_file(arguments[1], &size);
  struct machine it = made(memory_size, 1);
  give_features(&it);
  struct multiboot_information information = {.flags = has_command_line, .command_line = line_address};
  *(struct multiboot_information *)(it.memory + information_address) = information;
  join((char *)it.memory + line_address, count - 2, arguments + 2);
  enter_protected_mode(&it);
  struct kvm_regs registers = {
      .rip = load(it.memory, image, size), .rax = boot_magic, .rbx = information_address, .rflags = 2};
  REQUEST(it.cpu, KVM_SET_REGS, &registers);

  for (uint32_t result;;) {
    REQUEST(it.cpu, KVM_RUN, 0);
    if (it.state->exit_reason != KVM_EXIT_IO) fail("ended with exit reason", it.state->exit_reason);
    if (!access(it.state, &result)) continue;
    tell("the image reported", result);
    leave(result == 0 ? 0 : 3);
  }
}
