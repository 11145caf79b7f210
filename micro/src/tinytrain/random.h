#ifndef TINYTRAIN_RANDOM_H_
#define TINYTRAIN_RANDOM_H_

#include <stdint.h>

namespace tinytrain {

// A sequence of random numbers, the same everywhere: xorshift of 32 bits
// (Marsaglia, 2003).
class Random {
 public:
  Random() : state_(kSeed) {}

  // Returns a number from 0 to below 1, a multiple of 2^-24.
  float Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<float>(state_ >> 8) / 16777216.0f;
  }

 private:
  static const uint32_t kSeed = 2463534242u;

  uint32_t state_;  // Never 0.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_RANDOM_H_
