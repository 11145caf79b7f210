#include "tinytrain/kernels/requantization.h"

#include <string.h>

#include "tinytrain/kernels/for_speed.h"

namespace tinytrain {
namespace {

// `MultiplyRounded` of one factor with a shift of -2 or less.
struct RightFactor {
  int32_t multiplier;
  int32_t half;  // In the upper word.
  int right;     // Shift of the upper word.

  TINYTRAIN_INLINE int32_t operator()(int32_t value) const {
    const int32_t sign = value >> 31;
    const uint32_t lower = 0x40000000u | (static_cast<uint32_t>(sign) << 31);
    const uint32_t upper = static_cast<uint32_t>(half + sign);
    const int64_t nudge =
        static_cast<int64_t>(static_cast<uint64_t>(upper) << 32 | lower);
    const int64_t product = static_cast<int64_t>(value) * multiplier + nudge;
    return static_cast<int32_t>(product >> 32) >> right;
  }
};

// And of any.
struct AnyFactor {
  int32_t multiplier;
  int shift;

  TINYTRAIN_INLINE int32_t operator()(int32_t value) const {
    return MultiplyRounded(value, multiplier, shift);
  }
};

template <typename Scale>
TINYTRAIN_INLINE void StoreScaled(const Scale& scale, int zero_point, int low,
                                  int high, const int32_t* sums, int count,
                                  int index, int step, int8_t* output,
                                  uint8_t* mask) {
  // Numbers below are counted from the zero point of the output.
  low -= zero_point;
  high -= zero_point;
  if (mask == nullptr) {
    int8_t* to = output + index;
    for (const int32_t* end = sums + count; sums != end; to += step) {
      int32_t value = scale(*sums++);
      value = value < low ? low : value;
      value = value > high ? high : value;
      *to = static_cast<int8_t>(value + zero_point);
    }
    return;
  }
  for (; count > 0; --count) {
    StoreClamped(scale(*sums++) + zero_point, low + zero_point,
                 high + zero_point, index, output, mask);
    index += step;
  }
}

}  // namespace

Factor EncodeFactor(double real) {
  // 2^52 units of the last place and an exponent, by the bits.
  uint64_t bits;
  memcpy(&bits, &real, sizeof(bits));
  const uint64_t one = uint64_t{1} << 52;
  const uint64_t fraction = (bits & (one - 1)) | one;
  Factor factor = {0, static_cast<int>(bits >> 52) - 1022};
  const uint32_t rounded =
      static_cast<uint32_t>((fraction + (uint64_t{1} << 21)) >> 22);
  const bool carries = rounded == uint32_t{1} << 31;
  factor.multiplier = carries ? 1 << 30 : static_cast<int32_t>(rounded);
  if (carries) ++factor.shift;
  const Factor zero = {0, 0};
  return factor.shift < -31 ? zero : factor;
}

void StoreSums(const Requantization& to, int channel, const int32_t* sums,
               int count, int index, int step, int8_t* output, uint8_t* mask) {
  const int32_t multiplier = to.multiplier[channel];
  const int shift = to.shift[channel];
  if (shift <= -2) {
    const RightFactor scale = {multiplier, int32_t{1} << (-shift - 2),
                               -shift - 1};
    StoreScaled(scale, to.zero_point, to.low, to.high, sums, count, index, step,
                output, mask);
  } else {
    const AnyFactor scale = {multiplier, shift};
    StoreScaled(scale, to.zero_point, to.low, to.high, sums, count, index, step,
                output, mask);
  }
}

}  // namespace tinytrain
