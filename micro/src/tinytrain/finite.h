#ifndef TINYTRAIN_FINITE_H_
#define TINYTRAIN_FINITE_H_

#include <stdint.h>
#include <string.h>

#include "tinytrain/kernels/multiply_add.h"

namespace tinytrain {

// By its bits, so that -ffast-math cannot take it for granted.
inline bool IsFinite(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits << 1 < 0xFF000000u;
}

TINYTRAIN_NOINLINE inline bool AllFinite(const float* values, uint32_t count) {
  // Four at a time, which is twice as fast.
  const float* const end = values + count;
  for (; end - values >= 4; values += 4) {
    if (!IsFinite(values[0]) || !IsFinite(values[1]) || !IsFinite(values[2]) ||
        !IsFinite(values[3])) {
      return false;
    }
  }
  for (; values != end; ++values) {
    if (!IsFinite(*values)) return false;
  }
  return true;
}

}  // namespace tinytrain

#endif  // TINYTRAIN_FINITE_H_
