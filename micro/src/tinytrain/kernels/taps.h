#ifndef TINYTRAIN_KERNELS_TAPS_H_
#define TINYTRAIN_KERNELS_TAPS_H_

#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/shape.h"

// Those that a kernel asks once for an axis or a tap are functions: as part of
// each they would be larger than its loops.
namespace tinytrain {

// From `begin` to before `end`; empty when they are equal.
struct Range {
  int begin;
  int end;

  int size() const { return end - begin; }
};

inline Range Clipped(int begin, int end, int size) {
  Range range = {begin > 0 ? begin : 0, end < size ? end : size};
  if (range.end < range.begin) range.end = range.begin;
  return range;
}

// The taps of a window that lie over an axis of `size` values; the first tap
// is at `start`, which may be negative.
inline Range TapsInside(int start, int kernel, int size) {
  return Clipped(-start, size - start, kernel);
}

// Rounds up; 0 for a negative dividend.
inline int CeilDivide(int dividend, int divisor) {
  return dividend <= 0 ? 0 : (dividend + divisor - 1) / divisor;
}

// The outputs that see position `i` of an axis through some tap.
inline Range OutputsOver(int i, int kernel, int stride, int pad, int outputs) {
  const int begin = CeilDivide(i + pad - kernel + 1, stride);
  return Clipped(begin, (i + pad) / stride + 1, outputs);
}

// The outputs for which one tap lies over an axis of `size` values.
TINYTRAIN_NOINLINE inline Range OutputsOfTap(int tap, int stride, int pad,
                                             int size, int outputs) {
  return Clipped(
      CeilDivide(pad - tap, stride),
      size + pad - tap <= 0 ? 0 : (size + pad - tap - 1) / stride + 1, outputs);
}

// The outputs whose windows lie over the axis with all their taps.
TINYTRAIN_NOINLINE inline Range OutputsInside(int kernel, int stride, int pad,
                                              int size, int outputs) {
  const int room = size + pad - kernel;
  return Clipped(CeilDivide(pad, stride), room < 0 ? 0 : room / stride + 1,
                 outputs);
}

// The same positions in one row, when nothing depends on rows.
inline Window Flattened(const Window& window) {
  Window flat = window;
  if (window.pointwise()) {
    flat.input.width = flat.output.width = window.input.positions();
    flat.input.height = flat.output.height = 1;
  }
  return flat;
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_TAPS_H_
