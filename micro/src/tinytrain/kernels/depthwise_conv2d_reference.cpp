#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/kernels/visit_taps.h"

namespace tinytrain {
namespace reference {
namespace {

// Returns the weight of one tap of one channel.
float Weight(const Window& window, const Rows<float>& filter, int tap, int c) {
  for (int i = 0; i < filter.replaced.count; ++i) {
    if (filter.replaced.index[i] == c) {
      return filter.trained[i * window.taps() + tap];
    }
  }
  return filter.base[tap * window.input.channels + c];
}

}  // namespace

void DepthwiseConv2DForward(const Window& window, const float* input,
                            const Rows<float>& filter, const Rows<float>& bias,
                            float* output) {
  const int channels = window.input.channels;
  RowReader<float> biases(bias, 1);
  for (int c = 0; c < channels; ++c) {
    const float value = biases.NextValue();
    for (int p = 0; p < window.output.positions(); ++p) {
      output[p * channels + c] = value;
    }
    VisitTaps(window, [&](int to, int from, int tap) {
      float* sum = &output[to * channels + c];
      *sum = MultiplyAdd(input[from * channels + c],
                         Weight(window, filter, tap, c), *sum);
    });
  }
}

void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, float* d_input) {
  const int channels = window.input.channels;
  for (int i = 0; i < window.input.positions(); ++i) {
    for (int c = 0; c < channels; ++c) {
      float sum = 0.0f;
      VisitTaps(window, [&](int to, int from, int tap) {
        if (from != i) return;
        sum = MultiplyAdd(d_output[to * channels + c],
                          Weight(window, filter, tap, c), sum);
      });
      d_input[i * channels + c] += sum;
    }
  }
}

void DepthwiseConv2DBackwardFilter(const Window& window, const float* input,
                                   const float* d_output,
                                   const Channels& channels, float* d_filter) {
  const int depth = window.input.channels;
  for (int i = 0; i < channels.count; ++i) {
    const int c = channels.at(i);
    for (int t = 0; t < window.taps(); ++t) {
      float sum = 0.0f;
      VisitTaps(window, [&](int to, int from, int tap) {
        if (tap != t) return;
        sum =
            MultiplyAdd(d_output[to * depth + c], input[from * depth + c], sum);
      });
      d_filter[i * window.taps() + t] += sum;
    }
  }
}

}  // namespace reference
}  // namespace tinytrain
