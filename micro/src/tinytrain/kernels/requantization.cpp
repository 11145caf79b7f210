#include "tinytrain/kernels/requantization.h"

#include <string.h>

#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/pairs.h"

namespace tinytrain {
namespace {

#if TINYTRAIN_PAIRS

// `MultiplyRounded` of one factor with a shift of -1 or less, and the zero
// point of the output on top.
struct RightFactor {
  int32_t multiplier;  // Twice that of the factor, less 2^32.
  int32_t half;        // With the zero point.
  int right;

  RightFactor(int32_t whole, int shift, int zero_point)
      : multiplier(static_cast<int32_t>(static_cast<uint32_t>(whole) << 1)),
        half((1 << (-shift - 1)) + zero_point * (1 << -shift)),
        right(-shift) {}

  TINYTRAIN_INLINE int32_t operator()(int32_t value) const {
    const int32_t nudge = half + (value >> 31);
    // Only of what is cut off anyway can the sum leave int32.
    return AddSaturated(AddHighProduct(value, multiplier, nudge), value) >>
           right;
  }
};

const int kLeastRight = -20;  // Shift that leaves room for the zero point.
const int kMostRight = -1;

#else

// `MultiplyRounded` of one factor with a shift of -2 or less, and the zero
// point of the output on top.
struct RightFactor {
  int32_t multiplier;
  int32_t half;  // In the upper word.
  int right;     // Shift of the upper word.
  int zero_point;

  RightFactor(int32_t whole, int shift, int zero)
      : multiplier(whole),
        half(int32_t{1} << (-shift - 2)),
        right(-shift - 1),
        zero_point(zero) {}

  TINYTRAIN_INLINE int32_t operator()(int32_t value) const {
    const int32_t sign = value >> 31;
    const uint32_t lower = 0x40000000u | (static_cast<uint32_t>(sign) << 31);
    const uint32_t upper = static_cast<uint32_t>(half + sign);
    const int64_t nudge =
        static_cast<int64_t>(static_cast<uint64_t>(upper) << 32 | lower);
    const int64_t product = static_cast<int64_t>(value) * multiplier + nudge;
    return (static_cast<int32_t>(product >> 32) >> right) + zero_point;
  }
};

const int kLeastRight = -31;
const int kMostRight = -2;

#endif

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

int32_t MultiplyRounded(int32_t value, int32_t multiplier, int shift) {
  if (shift <= -2) {
    // Both roundings are one: a half, and 2^(shift - 1) away from zero.
    const int32_t sign = value >> 31;
    const uint32_t low = 0x40000000u | (static_cast<uint32_t>(sign) << 31);
    const int64_t high = (int32_t{1} << (-shift - 2)) + sign;
    const int64_t nudge = high * (int64_t{1} << 32) + low;
    const int64_t product = static_cast<int64_t>(value) * multiplier + nudge;
    return static_cast<int32_t>(product >> 32) >> (-shift - 1);
  }
  const int left = shift > 0 ? shift : 0;
  const int64_t shifted = value * (int32_t{1} << left);
  const int64_t product = shifted * multiplier + (int64_t{1} << 30);
  const int32_t high = static_cast<int32_t>(product >> 31);
  return shift < 0 ? (high + 1 + (high >> 31)) >> 1 : high;
}

void StoreSums(const Requantization& to, int channel, const int32_t* sums,
               int count, int index, int step, int8_t* output, uint8_t* mask) {
  const int32_t multiplier = to.multiplier[channel];
  const int shift = to.shift[channel];
  const int32_t* const end = sums + count;
  if (shift < kLeastRight || shift > kMostRight) {
    for (; sums != end; index += step) {
      const int32_t value = MultiplyRounded(*sums++, multiplier, shift);
      StoreClamped(value + to.zero_point, to.low, to.high, index, output, mask);
    }
    return;
  }
  const RightFactor scale(multiplier, shift, to.zero_point);
#if TINYTRAIN_PAIRS
  if (mask == nullptr && to.low == -128 && to.high == 127) {
    int8_t* place = output + index;
    for (; count >= 2; count -= 2) {
      place[0] = static_cast<int8_t>(CutOffInt8(scale(sums[0])));
      place[step] = static_cast<int8_t>(CutOffInt8(scale(sums[1])));
      place += 2 * step;
      sums += 2;
    }
    if (count > 0) *place = static_cast<int8_t>(CutOffInt8(scale(*sums)));
    return;
  }
#endif
  const int low = to.low;
  const int high = to.high;
  for (; sums != end; index += step) {
    StoreClamped(scale(*sums++), low, high, index, output, mask);
  }
}

}  // namespace tinytrain
