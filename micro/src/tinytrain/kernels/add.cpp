#include "tinytrain/kernels/add.h"

#include <string.h>

#include "tinytrain/kernels/activation.h"

namespace tinytrain {
namespace {

const int kFractionBits = 20;  // That summands have.

}  // namespace

Int8Addition Int8Addition::Make(const Int8Scale& first, const Int8Scale& second,
                                const Int8Scale& sum, int low, int high) {
  const double twice =
      2.0 * (first.scale > second.scale ? first.scale : second.scale);
  Int8Addition how;
  how.first = EncodeFactor(first.scale / twice);
  how.second = EncodeFactor(second.scale / twice);
  how.sum = EncodeFactor(
      twice / ((1 << kFractionBits) * static_cast<double>(sum.scale)));
  how.first_zero_point = first.zero_point;
  how.second_zero_point = second.zero_point;
  how.zero_point = sum.zero_point;
  how.low = low;
  how.high = high;
  return how;
}

void AddForward(const Int8Addition& addition, const int8_t* first,
                const int8_t* second, int count, int8_t* output,
                uint8_t* mask) {
  // A copy: what is stored through `output` might be the original.
  const Int8Addition how = addition;
  if (mask != nullptr) memset(mask, 0, MaskBytes(count));
  const int32_t unit = 1 << kFractionBits;
  for (int i = 0; i < count; ++i) {
    const int32_t a = (first[i] - how.first_zero_point) * unit;
    const int32_t b = (second[i] - how.second_zero_point) * unit;
    const int32_t total =
        MultiplyRounded(a, how.first.multiplier, how.first.shift) +
        MultiplyRounded(b, how.second.multiplier, how.second.shift);
    const int32_t value =
        MultiplyRounded(total, how.sum.multiplier, how.sum.shift) +
        how.zero_point;
    StoreClamped(value, how.low, how.high, i, output, mask);
  }
}

}  // namespace tinytrain
