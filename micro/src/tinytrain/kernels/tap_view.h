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
// lies under each.
template <typename Input>
struct TapView {
  const Input* input;
  const float* d_output;
  int rows;
  int columns;
  int input_row;  // Steps, in values.
  int input_column;
  int d_output_row;
  int d_output_column;
  int zero_point;  // Of stored numbers.

  TapView(const Window& w, int k, int l, const Input* inputs, int zero,
          const float* d_outputs) {
    const int in = w.input.channels;
    const int out = w.output.channels;
    const Range ys = OutputsOfTap(k, w.stride_height, w.pad_top, w.input.height,
                                  w.output.height);
    const Range xs = OutputsOfTap(l, w.stride_width, w.pad_left, w.input.width,
                                  w.output.width);
    const int row = ys.begin * w.stride_height - w.pad_top + k;
    const int column = xs.begin * w.stride_width - w.pad_left + l;
    zero_point = zero;
    rows = ys.size();
    columns = xs.size();
    input = inputs;
    d_output = d_outputs;
    if (rows > 0 && columns > 0) {
      input += (row * w.input.width + column) * in;
      d_output += (ys.begin * w.output.width + xs.begin) * out;
    }
    input_row = w.stride_height * w.input.width * in;
    input_column = w.stride_width * in;
    d_output_row = w.output.width * out;
    d_output_column = out;
  }
};

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_TAP_VIEW_H_
