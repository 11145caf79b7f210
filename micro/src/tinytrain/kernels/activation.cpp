#include "tinytrain/kernels/activation.h"

namespace tinytrain {
namespace {

struct Unbounded {
  static bool IsBelow(float) { return true; }
  static float Cut(float value) { return value; }
};

struct Six {
  static bool IsBelow(float value) { return value < 6.0f; }
  static float Cut(float value) { return value > 6.0f ? 6.0f : value; }
};

template <typename Bound>
void Forward(int count, float* values, uint8_t* mask) {
  for (int i = 0; i < count; i += 8) {
    const int bits = count - i < 8 ? count - i : 8;
    unsigned passed = 0;
    for (int b = 0; b < bits; ++b) {
      const float value = values[i + b];
      if (value > 0.0f && Bound::IsBelow(value)) {
        passed |= 1u << b;
      } else {
        values[i + b] = value <= 0.0f ? 0.0f : Bound::Cut(value);
      }
    }
    if (mask != nullptr) *mask++ = static_cast<uint8_t>(passed);
  }
}

}  // namespace

void ReluForward(int count, float* values, uint8_t* mask) {
  Forward<Unbounded>(count, values, mask);
}

void Relu6Forward(int count, float* values, uint8_t* mask) {
  Forward<Six>(count, values, mask);
}

void ReluBackward(const uint8_t* mask, int count, float* gradient) {
  for (int i = 0; i < count; i += 8) {
    const int bits = count - i < 8 ? count - i : 8;
    unsigned passed = *mask++;
    for (int b = 0; b < bits; ++b, passed >>= 1) {
      if ((passed & 1u) == 0) gradient[i + b] = 0.0f;
    }
  }
}

}  // namespace tinytrain
