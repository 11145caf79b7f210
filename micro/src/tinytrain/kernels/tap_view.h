#ifndef TINYTRAIN_KERNELS_TAP_VIEW_H_
#define TINYTRAIN_KERNELS_TAP_VIEW_H_

#include "tinytrain/kernels/taps.h"

namespace tinytrain {

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

  TapView(const Window& w, int k, int l, const Input* inputs,
          const float* d_outputs) {
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
