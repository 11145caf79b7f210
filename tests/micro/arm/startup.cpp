// Starts a program on an emulated Cortex-M with newlib and semihosting.

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

extern "C" {

extern uint32_t stack_top[], data_load[], data_begin[], data_end[];
extern uint32_t bss_begin[], bss_end[];
extern char heap_begin[], heap_end[];

void initialise_monitor_handles();
void __libc_init_array();
int main(int argc, char** argv);
void Reset();
void Fault();

__attribute__((section(".vectors"), used)) const uintptr_t vectors[16] = {
    reinterpret_cast<uintptr_t>(stack_top), reinterpret_cast<uintptr_t>(Reset),
    reinterpret_cast<uintptr_t>(Fault),     reinterpret_cast<uintptr_t>(Fault),
    reinterpret_cast<uintptr_t>(Fault),     reinterpret_cast<uintptr_t>(Fault),
    reinterpret_cast<uintptr_t>(Fault),
};

void RunMain() {
  for (uint32_t *from = data_load, *to = data_begin; to != data_end;) {
    *to++ = *from++;
  }
  for (uint32_t* to = bss_begin; to != bss_end;) *to++ = 0;
  initialise_monitor_handles();
  __libc_init_array();
  exit(main(0, nullptr));
}

// Turns on the FPU before any function may save one of its registers.
__attribute__((naked)) void Reset() {
  __asm__ volatile(
      "ldr r0, =0xE000ED88\n"
      "ldr r1, [r0]\n"
      "orr r1, r1, #0xF00000\n"
      "str r1, [r0]\n"
      "dsb\n"
      "isb\n"
      "b RunMain\n");
}

// The stack may be what failed, so it begins anew.
__attribute__((naked)) void Fault() {
  __asm__ volatile(
      "ldr r0, =stack_top\n"
      "mov sp, r0\n"
      "movs r0, #3\n"
      "b _Exit\n");
}

void* _sbrk(ptrdiff_t bytes) {
  static char* end = heap_begin;
  if (bytes > heap_end - end) {
    errno = ENOMEM;
    return reinterpret_cast<void*>(-1);
  }
  char* begin = end;
  end += bytes;
  return begin;
}

void _init() {}
void _fini() {}
}
