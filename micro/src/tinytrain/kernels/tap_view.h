#ifndef TINYTRAIN_KERNELS_TAP_VIEW_H_
#define TINYTRAIN_KERNELS_TAP_VIEW_H_

#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {

// Values of an input as real numbers: float32 as they are, stored int8 numbers
// less their zero point.
TINYTRAIN_INLINE float ValueOf(float value, int) { return value; }
TINYTRAIN_INLINE float ValueOf(int8_t stored, int zero_point) {
  return static_cast<float>(stored - zero_point);
}

template <typename Lanes>
TINYTRAIN_INLINE void LoadValues(const float* from, int, const Lanes& lanes,
                                 Quad<float>* values) {
  values->Load(from, lanes);
}
template <typename Lanes>
TINYTRAIN_INLINE void LoadValues(const int8_t* from, int zero_point,
                                 const Lanes& lanes, Quad<float>* values) {
  values->v0 = ValueOf(from[0], zero_point);
  values->v1 = ValueOf(from[lanes.offset1], zero_point);
  values->v2 = ValueOf(from[lanes.offset2], zero_point);
  values->v3 = ValueOf(from[lanes.offset3], zero_point);
}
template <typename Input>
TINYTRAIN_INLINE void LoadValues(const Input* from, int zero_point,
                                 const FourLanes& lanes, Octet<float>* values) {
  LoadValues(from, zero_point, lanes, &values->low);
  LoadValues(from + 4, zero_point, lanes, &values->high);
}

// What one tap of a window sees: a rectangle of outputs, and the input that
// lies under each. Places and steps are in values.
struct TapRectangle {
  int rows;
  int columns;
  int input_begin;
  int input_row;
  int input_column;
  int d_output_begin;
  int d_output_row;
  int d_output_column;

  TINYTRAIN_NOINLINE TapRectangle(const Window& w, int k, int l) {
    const int in = w.input.channels;
    const int out = w.output.channels;
    const Range ys = OutputsOfTap(k, w.stride_height, w.pad_top, w.input.height,
                                  w.output.height);
    const Range xs = OutputsOfTap(l, w.stride_width, w.pad_left, w.input.width,
                                  w.output.width);
    const int row = ys.begin * w.stride_height - w.pad_top + k;
    const int column = xs.begin * w.stride_width - w.pad_left + l;
    rows = ys.size();
    columns = xs.size();
    const bool is_empty = rows == 0 || columns == 0;
    input_begin = is_empty ? 0 : (row * w.input.width + column) * in;
    input_row = w.stride_height * w.input.width * in;
    input_column = w.stride_width * in;
    d_output_begin =
        is_empty ? 0 : (ys.begin * w.output.width + xs.begin) * out;
    d_output_row = w.output.width * out;
    d_output_column = out;
  }
};

template <typename Input>
struct TapView : TapRectangle {
  const Input* input;
  const float* d_output;
  int zero_point;  // Of stored numbers.

  TapView(const Window& w, int k, int l, const Input* inputs, int zero,
          const float* d_outputs)
      : TapRectangle(w, k, l),
        input(inputs + input_begin),
        d_output(d_outputs + d_output_begin),
        zero_point(zero) {}
};

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_TAP_VIEW_H_
