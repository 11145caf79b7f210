#ifndef TINYTRAIN_FINITE_H_
#define TINYTRAIN_FINITE_H_

#include <stdint.h>
#include <string.h>

namespace tinytrain {

// By its bits, so that -ffast-math cannot take it for granted.
inline bool IsFinite(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x7F800000) != 0x7F800000;
}

inline bool AllFinite(const float* values, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (!IsFinite(values[i])) return false;
  }
  return true;
}

}  // namespace tinytrain

#endif  // TINYTRAIN_FINITE_H_
