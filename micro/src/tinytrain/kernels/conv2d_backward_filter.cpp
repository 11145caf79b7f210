#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/tap_view.h"

namespace tinytrain {
namespace {

// Sums the products of one channel of d_output with as many channels of the
// input as `Values` holds.
template <typename Values, typename Input, typename Lanes>
TINYTRAIN_NOINLINE void AddProducts1(const TapView<Input>& view, int channel,
                                     int first, const Lanes& lanes,
                                     float* d_filter) {
  Values sum;
  sum.Fill(0.0f);
  const Input* input_row = view.input + first;
  const float* d_output_row = view.d_output + channel;
  for (int y = view.rows; y > 0; --y) {
    const Input* x = input_row;
    const float* d = d_output_row;
    for (int i = view.columns; i > 0; --i) {
      Values values;
      LoadValues(x, view.zero_point, lanes, &values);
      sum.AddProduct(*d, values);
      x += view.input_column;
      d += view.d_output_column;
    }
    input_row += view.input_row;
    d_output_row += view.d_output_row;
  }
  sum.AddTo(lanes.count, d_filter + first);
}

// The same of two channels of d_output, whose rows of the gradient are
// `row_size` apart.
template <typename Input>
TINYTRAIN_NOINLINE void AddProducts2(const TapView<Input>& view, int channel0,
                                     int channel1, int first, int row_size,
                                     float* d_filter) {
  Octet<float> sum0, sum1;
  sum0.Fill(0.0f);
  sum1.Fill(0.0f);
  const Input* input_row = view.input + first;
  const float* d_output_row = view.d_output;
  for (int y = view.rows; y > 0; --y) {
    const Input* x = input_row;
    const float* d0 = d_output_row + channel0;
    const float* d1 = d_output_row + channel1;
    for (int i = view.columns; i > 0; --i) {
      Octet<float> values;
      LoadValues(x, view.zero_point, FourLanes(), &values);
      sum0.AddProduct(*d0, values);
      sum1.AddProduct(*d1, values);
      x += view.input_column;
      d0 += view.d_output_column;
      d1 += view.d_output_column;
    }
    input_row += view.input_row;
    d_output_row += view.d_output_row;
  }
  sum0.AddTo(8, d_filter + first);
  sum1.AddTo(8, d_filter + first + row_size);
}

// One tap of all trained rows.
template <typename Input>
void BackwardTap(const TapView<Input>& view, int in, int row_size,
                 const Channels& channels, float* d_filter) {
  for (int i = 0; i < channels.count;) {
    const bool two = i + 2 <= channels.count;
    const int f = channels.at(i);
    int c = 0;
    for (; c + 8 <= in; c += 8) {
      if (two) {
        AddProducts2(view, f, channels.at(i + 1), c, row_size, d_filter);
      } else {
        AddProducts1<Octet<float>>(view, f, c, FourLanes(), d_filter);
      }
    }
    const int rows = two ? 2 : 1;
    for (; c < in; c += 4) {
      for (int r = 0; r < rows; ++r) {
        AddProducts1<Quad<float>>(view, channels.at(i + r), c,
                                  SomeLanes(in - c), d_filter + r * row_size);
      }
    }
    i += rows;
    d_filter += rows * row_size;
  }
}

template <typename Input>
void BackwardFilter(const Window& window, const Input* input, int zero_point,
                    const float* d_output, const Channels& channels,
                    float* d_filter) {
  const Window w = Flattened(window);
  const int in = w.input.channels;
  const int row_size = w.taps() * in;
  for (int k = 0; k < w.kernel_height; ++k) {
    for (int l = 0; l < w.kernel_width; ++l) {
      const TapView<Input> view(w, k, l, input, zero_point, d_output);
      BackwardTap(view, in, row_size, channels, d_filter);
      d_filter += in;
    }
  }
}

}  // namespace

void Conv2DBackwardFilter(const Window& window, const float* input,
                          const float* d_output, const Channels& channels,
                          float* d_filter) {
  BackwardFilter(window, input, 0, d_output, channels, d_filter);
}

void Conv2DBackwardFilter(const Window& window, const int8_t* input,
                          int zero_point, const float* d_output,
                          const Channels& channels, float* d_filter) {
  BackwardFilter(window, input, zero_point, d_output, channels, d_filter);
}

void BiasBackward(const Shape& output, const float* d_output,
                  const Channels& channels, float* d_bias) {
  for (int i = 0; i < channels.count; ++i) {
    const float* d = d_output + channels.at(i);
    float sum = 0.0f;
    for (int p = output.positions(); p > 0; --p) {
      sum += *d;
      d += output.channels;
    }
    d_bias[i] += sum;
  }
}

}  // namespace tinytrain
