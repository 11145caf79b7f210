#ifndef TINYTRAIN_KERNELS_REQUANTIZATION_H_
#define TINYTRAIN_KERNELS_REQUANTIZATION_H_

#include <stdint.h>

#include "tinytrain/kernels/multiply_add.h"

// From int32 accumulators to stored int8 numbers, bit for bit as TensorFlow
// Lite's reference kernels. A stored number q means scale * (q - zero_point).
namespace tinytrain {

// A factor, multiplier * 2^(shift - 31).
struct Factor {
  int32_t multiplier;  // From 2^30, below 2^31; 0 of a factor below 2^-32.
  int shift;           // From -31 to 7.
};

// Returns the factor that is nearest to `real`, which is positive and below
// 2^7. In double precision, as the reference.
Factor EncodeFactor(double real);

// Returns multiplier * 2^(shift - 31), rounded. Of a shift from -13 to 7.
inline float FactorOf(int32_t multiplier, int shift) {
  // 2^-31 and 2^(shift + 13) are exact.
  const float unit = static_cast<float>(1u << (shift + 13)) / 8192.0f;
  return static_cast<float>(multiplier) * (unit / 2147483648.0f);
}

// Returns value * factor: at 31 fraction bits halves round upwards, and after a
// shift to the right away from zero. Shifted to the left it fits into 32 bits.
int32_t MultiplyRounded(int32_t value, int32_t multiplier, int shift);

// How a layer stores what it computes.
struct Requantization {
  const int32_t* multiplier;  // (channels): input scale * weight scale
  const int8_t* shift;        // / output scale, a `Factor` each.
  int input_zero_point;       // From -128 to 127.
  int zero_point;             // Of the output.
  int low;                    // What type and activation leave of the output.
  int high;
};

// Cuts `value` off and stores it at `index`. A bit of `mask`, unless it is
// null, says whether nothing was cut off: there the gradient passes. All bits
// are 0 before.
TINYTRAIN_INLINE void StoreClamped(int32_t value, int low, int high, int index,
                                   int8_t* output, uint8_t* mask) {
  int32_t kept = value < low ? low : value;
  kept = kept > high ? high : kept;
  output[index] = static_cast<int8_t>(kept);
  if (mask != nullptr && kept == value) {
    mask[index >> 3] |= static_cast<uint8_t>(1u << (index & 7));
  }
}

// Rescales `count` sums of one channel, cuts them off and stores them, `step`
// numbers apart from `index` on.
void StoreSums(const Requantization& to, int channel, const int32_t* sums,
               int count, int index, int step, int8_t* output, uint8_t* mask);

namespace reference {

// The two roundings, one after the other.
int32_t MultiplyRounded(int32_t value, const Factor& factor);

// Rescales a sum of a channel, cuts it off and stores it.
void Requantize(const Requantization& to, int channel, int32_t sum, int index,
                int8_t* output, uint8_t* mask);

}  // namespace reference
}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_REQUANTIZATION_H_
