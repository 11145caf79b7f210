#ifndef TINYTRAIN_KERNELS_L2_NORM_H_
#define TINYTRAIN_KERNELS_L2_NORM_H_

#include <cmath>

#include "tinytrain/kernels/multiply_add.h"

namespace tinytrain {

// As tf.math.l2_normalize: below this square, a vector is scaled by a constant.
const float kSmallestSquare = 1e-12f;

inline float DotProduct(const float* a, const float* b, int count) {
  float sum = 0.0f;
  for (int i = 0; i < count; ++i) sum = MultiplyAdd(a[i], b[i], sum);
  return sum;
}

// Returns the factor that gives `values` length one.
inline float InverseNorm(const float* values, int count) {
  const float square = DotProduct(values, values, count);
  // A NaN passes.
  return 1.0f / std::sqrt(square < kSmallestSquare ? kSmallestSquare : square);
}

// Whether the factor is the constant, so that its own gradient is zero.
inline bool IsConstantNorm(float inverse_norm) {
  return inverse_norm >= 1.0f / std::sqrt(kSmallestSquare);
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_L2_NORM_H_
