#include "tinytrain/kernels/activation.h"

#include <string.h>

#include "tinytrain/kernels/requantization.h"

namespace tinytrain {
namespace {

// Bits of float32, whose order is that of the positive numbers. Comparing them
// spares the core the way through the FPU's flags.
const uint32_t kSix = 0x40C00000;
const uint32_t kInfinity = 0x7F800000;
const uint32_t kMinusInfinity = 0xFF800000;  // NaNs lie above.

// Passes what is above 0 and below `limit`, and cuts off the rest.
void Forward(int count, uint32_t limit, uint32_t cut, float* values,
             uint8_t* mask) {
  for (; count > 0; count -= 8) {
    const unsigned end = 1u << (count < 8 ? count : 8);
    unsigned passed = 0;
    for (unsigned bit = 1; bit != end; bit <<= 1, ++values) {
      uint32_t value;
      memcpy(&value, values, sizeof(value));
      if (static_cast<int32_t>(value) <= 0) {
        if (value <= kMinusInfinity) *values = 0.0f;
      } else if (value < limit) {
        passed |= bit;
      } else if (value <= kInfinity) {
        memcpy(values, &cut, sizeof(cut));
      }
    }
    if (mask != nullptr) *mask++ = static_cast<uint8_t>(passed);
  }
}

}  // namespace

void ReluForward(int count, float* values, uint8_t* mask) {
  Forward(count, kInfinity + 1, kInfinity, values, mask);
}

void Relu6Forward(int count, float* values, uint8_t* mask) {
  Forward(count, kSix, kSix, values, mask);
}

void ClampForward(const int8_t* input, int count, int low, int high,
                  int8_t* output, uint8_t* mask) {
  if (mask != nullptr) memset(mask, 0, MaskBytes(count));
  for (int i = 0; i < count; ++i) {
    StoreClamped(input[i], low, high, i, output, mask);
  }
}

void ReluBackward(const uint8_t* mask, int count, float* gradient) {
  for (; count >= 8; count -= 8) {
    const unsigned passed = *mask++;
    if ((passed & 1) == 0) gradient[0] = 0.0f;
    if ((passed & 2) == 0) gradient[1] = 0.0f;
    if ((passed & 4) == 0) gradient[2] = 0.0f;
    if ((passed & 8) == 0) gradient[3] = 0.0f;
    if ((passed & 16) == 0) gradient[4] = 0.0f;
    if ((passed & 32) == 0) gradient[5] = 0.0f;
    if ((passed & 64) == 0) gradient[6] = 0.0f;
    if ((passed & 128) == 0) gradient[7] = 0.0f;
    gradient += 8;
  }
  for (int i = 0; i < count; ++i) {
    if ((*mask >> i & 1) == 0) gradient[i] = 0.0f;
  }
}

}  // namespace tinytrain
