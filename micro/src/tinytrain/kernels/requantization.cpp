#include "tinytrain/kernels/requantization.h"

#include <cmath>

namespace tinytrain {

Factor EncodeFactor(double real) {
  Factor factor = {0, 0};
  const double fraction = std::frexp(real, &factor.shift);
  const int64_t rounded =
      static_cast<int64_t>(std::floor(fraction * 2147483648.0 + 0.5));
  const bool carries = rounded == int64_t{1} << 31;
  factor.multiplier = carries ? 1 << 30 : static_cast<int32_t>(rounded);
  if (carries) ++factor.shift;
  const Factor zero = {0, 0};
  return factor.shift < -31 ? zero : factor;
}

}  // namespace tinytrain
