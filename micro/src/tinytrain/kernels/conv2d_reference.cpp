#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/kernels/visit_taps.h"

namespace tinytrain {
namespace reference {
void Conv2DForward(const Window& window, const float* input,
                   const Rows<float>& filter, const Rows<float>& bias,
                   float* output) {
  const int in = window.input.channels;
  const int out = window.output.channels;
  RowReader<float> rows(filter, window.taps() * in);
  RowReader<float> biases(bias, 1);
  for (int f = 0; f < out; ++f) {
    const float* row = rows.Next();
    const float value = biases.NextValue();
    for (int p = 0; p < window.output.positions(); ++p) {
      output[p * out + f] = value;
    }
    VisitTaps(window, [=](int to, int from, int tap) {
      float* sum = &output[to * out + f];
      for (int c = 0; c < in; ++c) {
        *sum = MultiplyAdd(input[from * in + c], row[tap * in + c], *sum);
      }
    });
  }
}

void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<float>& filter, float* d_input) {
  const int in = window.input.channels;
  const int out = window.output.channels;
  for (int i = 0; i < window.input.positions(); ++i) {
    for (int c = 0; c < in; ++c) {
      float sum = 0.0f;
      VisitTaps(window, [&](int to, int from, int tap) {
        if (from != i) return;
        RowReader<float> rows(filter, window.taps() * in);
        for (int f = 0; f < out; ++f) {
          sum = MultiplyAdd(d_output[to * out + f], rows.Next()[tap * in + c],
                            sum);
        }
      });
      d_input[i * in + c] += sum;
    }
  }
}

void Conv2DBackwardFilter(const Window& window, const float* input,
                          const float* d_output, const Channels& channels,
                          float* d_filter) {
  const int in = window.input.channels;
  const int out = window.output.channels;
  for (int i = 0; i < channels.count; ++i) {
    const int f = channels.at(i);
    for (int t = 0; t < window.taps(); ++t) {
      for (int c = 0; c < in; ++c) {
        float sum = 0.0f;
        VisitTaps(window, [&](int to, int from, int tap) {
          if (tap != t) return;
          sum = MultiplyAdd(d_output[to * out + f], input[from * in + c], sum);
        });
        d_filter[(i * window.taps() + t) * in + c] += sum;
      }
    }
  }
}

}  // namespace reference
}  // namespace tinytrain
