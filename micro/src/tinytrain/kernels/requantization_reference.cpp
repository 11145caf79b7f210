#include "tinytrain/kernels/requantization.h"

namespace tinytrain {
namespace reference {

int32_t MultiplyRounded(int32_t value, const Factor& factor) {
  const int left = factor.shift > 0 ? factor.shift : 0;
  const int right = left - factor.shift;
  const int64_t product = value * (int64_t{1} << left) * factor.multiplier;
  // To an integer at 31 fraction bits, halves upwards.
  const int64_t high = (product + (int64_t{1} << 30)) >> 31;
  if (right == 0) return static_cast<int32_t>(high);
  // And halves away from zero.
  const int64_t half = int64_t{1} << (right - 1);
  const int64_t size = ((high < 0 ? -high : high) + half) >> right;
  return static_cast<int32_t>(high < 0 ? -size : size);
}

void Requantize(const Requantization& to, int channel, int32_t sum, int index,
                int8_t* output, uint8_t* mask) {
  const Factor factor = {to.multiplier[channel], to.shift[channel]};
  const int32_t value = MultiplyRounded(sum, factor) + to.zero_point;
  output[index] = static_cast<int8_t>(value < to.low    ? to.low
                                      : value > to.high ? to.high
                                                        : value);
  if (mask != nullptr && value >= to.low && value <= to.high) {
    mask[index / 8] |= static_cast<uint8_t>(1 << index % 8);
  }
}

}  // namespace reference
}  // namespace tinytrain
