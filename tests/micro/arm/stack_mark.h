#ifndef TESTS_MICRO_ARM_STACK_MARK_H_
#define TESTS_MICRO_ARM_STACK_MARK_H_

#include <stdint.h>

extern "C" uint32_t stack_bottom[];

// Measures how deep the stack goes, by paint below where it begins.
class StackMark {
 public:
  // Paints what is free now.
  __attribute__((noinline)) StackMark() {
    top_ = static_cast<uint32_t*>(__builtin_frame_address(0));
    // Its own frame and what it calls, nothing, are above this.
    for (uint32_t* word = stack_bottom; word < top_ - 16; ++word) {
      *const_cast<volatile uint32_t*>(word) = kPaint;
    }
  }

  // Returns how many bytes were in use at most since then.
  uint32_t Bytes() const {
    const uint32_t* word = stack_bottom;
    while (word < top_ && *const_cast<const volatile uint32_t*>(word) == kPaint)
      ++word;
    return static_cast<uint32_t>(top_ - word) * sizeof(*word);
  }

 private:
  static const uint32_t kPaint = 0xC5C5C5C5;

  uint32_t* top_;
};

#endif  // TESTS_MICRO_ARM_STACK_MARK_H_
