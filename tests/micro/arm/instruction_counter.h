#ifndef TESTS_MICRO_ARM_INSTRUCTION_COUNTER_H_
#define TESTS_MICRO_ARM_INSTRUCTION_COUNTER_H_

#include <stdint.h>

// Counts instructions under QEMU's -icount shift=0, where each takes one
// nanosecond, with SysTick, which ticks every 40 on the mps2 boards. Counters
// may overlap.
class InstructionCounter {
 public:
  InstructionCounter() {
    if (Register(0x10) == 0) {
      Register(0x14) = kMask;  // Reload value.
      Register(0x18) = 0;
      Register(0x10) = 5;  // Enabled, on the core's clock.
    }
    start_ = Register(0x18);
  }

  // At most 2^24 ticks, or 671 million instructions, since the construction.
  uint32_t Count() const { return ((start_ - Register(0x18)) & kMask) * 40; }

 private:
  static const uint32_t kMask = 0xFFFFFF;

  static volatile uint32_t& Register(uintptr_t offset) {
    return *reinterpret_cast<volatile uint32_t*>(0xE000E000u + offset);
  }

  uint32_t start_;
};

#endif  // TESTS_MICRO_ARM_INSTRUCTION_COUNTER_H_
