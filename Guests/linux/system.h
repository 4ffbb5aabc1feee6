// What a program for Linux needs that has no C library: system calls, messages, and requests whose failure ends it. A
// program says what its messages begin with, how it ends, and what it does: `name`, `leave` and `run`.

#pragma once

#include <stdint.h>

static const char *const name;
// 0 is success.
static _Noreturn void leave(int status);
static void run(int count, const char *const *arguments);

enum {
  sys_write = 1, sys_open = 2, sys_mmap = 9, sys_ioctl = 16, sys_madvise = 28, sys_mknod = 133, sys_reboot = 169,
  sys_exit_group = 231, sys_finit_module = 313,
};

static long call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

// The compiler makes calls of these.
__attribute__((used)) void *memset(void *target, int byte, unsigned long length) {
  void *next = target;
  __asm__ volatile("rep stosb" : "+D"(next), "+c"(length) : "a"(byte) : "memory");
  return target;
}

__attribute__((used)) void *memcpy(void *target, const void *source, unsigned long length) {
  void *next = target;
  __asm__ volatile("rep movsb" : "+D"(next), "+S"(source), "+c"(length) : : "memory");
  return target;
}

static void say(const char *text) {
  long length = 0;
  while (text[length]) length++;
  call(sys_write, 1, (long)text, length, 0, 0, 0);
}

static void say_number(unsigned long number) {
  char digits[24];
  int place = sizeof digits - 1;
  digits[place] = 0;
  do {
    digits[--place] = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  say(digits + place);
}

static long checked(long result, const char *what) {
  if (result >= 0 || result < -4095) return result;
  say(name);
  say(": ");
  say(what);
  say(" failed with errno ");
  say_number((unsigned long)-result);
  say("\n");
  leave(1);
}

static long request(long file, unsigned long what, long argument, const char *name) {
  return checked(call(sys_ioctl, file, (long)what, argument, 0, 0, 0), name);
}

#define REQUEST(file, what, argument) request(file, what, (long)(argument), #what)

static long open_file(const char *path) {
  enum { read_write = 2 };
  return checked(call(sys_open, (long)path, read_write, 0, 0, 0, 0), path);
}

static long map(long size, int is_shared, long file) {
  enum { read_write = 3, shared = 1, private_anonymous = 0x22 };
  return checked(call(sys_mmap, 0, size, read_write, is_shared ? shared : private_anonymous, file, 0), "mmap");
}

// The number that the text begins with.
__attribute__((unused)) static unsigned long number_of(const char *text) {
  unsigned long number = 0;
  for (; *text >= '0' && *text <= '9'; text++) number = number * 10 + (unsigned long)(*text - '0');
  return number;
}

__attribute__((unused)) static int is_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

// The stack holds the number of arguments, then their addresses.
__attribute__((used)) static _Noreturn void begin(long *stack) {
  run((int)stack[0], (const char *const *)(stack + 1));
  leave(0);
}

__attribute__((naked)) void _start(void) {
  __asm__("mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
}
