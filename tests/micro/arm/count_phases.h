#ifndef TESTS_MICRO_ARM_COUNT_PHASES_H_
#define TESTS_MICRO_ARM_COUNT_PHASES_H_

#include <stdint.h>

// What kernels of forward passes, input gradients and filter gradients have
// taken since the program began; count_phases.cpp is linked with --wrap for it.
struct KernelInstructions {
  uint64_t forward;
  uint64_t backward_input;
  uint64_t backward_filter;
};

extern KernelInstructions kernel_instructions;

#endif  // TESTS_MICRO_ARM_COUNT_PHASES_H_
