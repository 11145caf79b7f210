#ifndef TINYTRAIN_FINITE_H_
#define TINYTRAIN_FINITE_H_

#include <stdint.h>
#include <string.h>

namespace tinytrain {

// By its bits, which -ffast-math does not reason away.
inline bool IsFinite(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x7F800000) != 0x7F800000;
}

inline bool AreFinite(const float* values, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (!IsFinite(values[i])) return false;
  }
  return true;
}

}  // namespace tinytrain

#endif  // TINYTRAIN_FINITE_H_
