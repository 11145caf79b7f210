#ifndef TINYTRAIN_KERNELS_ADD_H_
#define TINYTRAIN_KERNELS_ADD_H_

#include "tinytrain/kernels/requantization.h"

namespace tinytrain {

// values[i] += addends[i]. This is the forward pass of a residual addition into
// one of its inputs, and the backward pass into a gradient that is already
// there. Where it is not, d_output itself is the gradient of both inputs.
inline void Add(const float* addends, int count, float* values) {
  for (int i = 0; i < count; ++i) values[i] += addends[i];
}

// How stored int8 numbers are added. `Make` takes scales and zero points of
// both summands and of the sum, and what type and activation leave of it.
struct Int8Scale {
  float scale;
  int zero_point;
};
struct Int8Addition {
  Factor first;
  Factor second;
  Factor sum;
  int first_zero_point;
  int second_zero_point;
  int zero_point;
  int low;
  int high;

  static Int8Addition Make(const Int8Scale& first, const Int8Scale& second,
                           const Int8Scale& sum, int low, int high);
};

// `output` may be one of the summands, or both; `mask` may be null.
void AddForward(const Int8Addition& how, const int8_t* first,
                const int8_t* second, int count, int8_t* output, uint8_t* mask);

namespace reference {

void AddForward(const Int8Addition& how, const int8_t* first,
                const int8_t* second, int count, int8_t* output, uint8_t* mask);

}  // namespace reference
}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_ADD_H_
