#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/kernels/tap_view.h"

namespace tinytrain {
namespace {

template <typename Input>
float SumProducts(const TapView<Input>& view, int channel) {
  float sum = 0.0f;
  const Input* input_row = view.input + channel;
  const float* d_output_row = view.d_output + channel;
  for (int y = view.rows; y > 0; --y) {
    const Input* x = input_row;
    const float* d = d_output_row;
    for (int i = view.columns; i > 0; --i) {
      sum = MultiplyAdd(*d, ValueOf(*x, view.zero_point), sum);
      x += view.input_column;
      d += view.d_output_column;
    }
    input_row += view.input_row;
    d_output_row += view.d_output_row;
  }
  return sum;
}

template <typename Input>
void BackwardFilter(const Window& window, const Input* input, int zero_point,
                    const float* d_output, const Channels& channels,
                    float* d_filter) {
  for (int k = 0; k < window.kernel_height; ++k) {
    for (int l = 0; l < window.kernel_width; ++l) {
      const TapView<Input> view(window, k, l, input, zero_point, d_output);
      float* to = d_filter + k * window.kernel_width + l;
      for (int i = 0; i < channels.count; ++i) {
        *to += SumProducts(view, channels.at(i));
        to += window.taps();
      }
    }
  }
}

}  // namespace

void DepthwiseConv2DBackwardFilter(const Window& window, const float* input,
                                   const float* d_output,
                                   const Channels& channels, float* d_filter) {
  BackwardFilter(window, input, 0, d_output, channels, d_filter);
}

void DepthwiseConv2DBackwardFilter(const Window& window, const int8_t* input,
                                   int zero_point, const float* d_output,
                                   const Channels& channels, float* d_filter) {
  BackwardFilter(window, input, zero_point, d_output, channels, d_filter);
}

}  // namespace tinytrain
