#ifndef TINYTRAIN_KERNELS_ADD_H_
#define TINYTRAIN_KERNELS_ADD_H_

namespace tinytrain {

// values[i] += addends[i]. This is the forward pass of a residual addition into
// one of its inputs, and the backward pass into a gradient that is already
// there. Where it is not, d_output itself is the gradient of both inputs.
inline void Add(const float* addends, int count, float* values) {
  for (int i = 0; i < count; ++i) values[i] += addends[i];
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_ADD_H_
