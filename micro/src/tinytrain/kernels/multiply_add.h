#ifndef TINYTRAIN_KERNELS_MULTIPLY_ADD_H_
#define TINYTRAIN_KERNELS_MULTIPLY_ADD_H_

#include <cmath>

// Cores whose compiler optimises for size must still keep a tile in registers.
#define TINYTRAIN_INLINE inline __attribute__((always_inline))
// And a loop over a tile must not share registers with what is around it.
#define TINYTRAIN_NOINLINE __attribute__((noinline))

namespace tinytrain {

// Returns sum + a * b. Every product that is added to something goes through
// here: fused by name, so that x86, M4 and M7 agree bit for bit whatever the
// compiler's -ffp-contract is. One VFMA on Cortex-M4F and M7; on a host without
// -mfma a slow library call.
TINYTRAIN_INLINE float MultiplyAdd(float a, float b, float sum) {
  return std::fma(a, b, sum);
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_MULTIPLY_ADD_H_
