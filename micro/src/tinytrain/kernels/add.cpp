#include "tinytrain/kernels/add.h"

#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/pairs.h"

namespace tinytrain {
namespace {

const int kFractionBits = 20;  // That summands have.
const int kChunk = 16;         // Sums at a time.

// `MultiplyRounded` of a factor below 1 and numbers below 2^29.
class Fraction {
 public:
#if TINYTRAIN_PAIRS
  // Nothing is left after a shift of 31.
  explicit Fraction(const Factor& factor)
      : multiplier_(static_cast<int32_t>(
            static_cast<uint32_t>(factor.multiplier) << 1)),
        right_(factor.multiplier == 0 ? 31 : -factor.shift),
        half_(right_ > 0 ? 1 << (right_ - 1) : 0),
        signs_(right_ > 0 ? -1 : 0) {}

  TINYTRAIN_INLINE int32_t operator()(int32_t value) const {
    const int32_t nudge = half_ + ((value >> 31) & signs_);
    return (AddHighProduct(value, multiplier_, nudge) + value) >> right_;
  }

 private:
  const int32_t multiplier_;  // Twice that of the factor, less 2^32.
  const int right_;
  const int32_t half_;
  const int32_t signs_;
#else
  explicit Fraction(const Factor& factor) : factor_(factor) {}

  TINYTRAIN_INLINE int32_t operator()(int32_t value) const {
    return MultiplyRounded(value, factor_.multiplier, factor_.shift);
  }

 private:
  const Factor factor_;
#endif
};

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

void AddForward(const Int8Addition& how, const int8_t* first,
                const int8_t* second, int count, int8_t* output,
                uint8_t* mask) {
  if (mask != nullptr) memset(mask, 0, MaskBytes(count));
  const int32_t unit = 1 << kFractionBits;
  const Fraction of_first(how.first);
  const Fraction of_second(how.second);
  const int first_zero_point = how.first_zero_point;
  const int second_zero_point = how.second_zero_point;
  const int8_t shift = static_cast<int8_t>(how.sum.shift);
  const Requantization to = {&how.sum.multiplier, &shift,  0,
                             how.zero_point,      how.low, how.high};
  for (int i = 0; i < count; i += kChunk) {
    const int some = count - i < kChunk ? count - i : kChunk;
    int32_t sums[kChunk];
    for (int k = 0; k < some; ++k) {
      const int32_t a = (first[i + k] - first_zero_point) * unit;
      const int32_t b = (second[i + k] - second_zero_point) * unit;
      sums[k] = of_first(a) + of_second(b);
    }
    StoreSums(to, 0, sums, some, i, 1, output, mask);
  }
}

}  // namespace tinytrain
