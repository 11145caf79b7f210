#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/visit_taps.h"

// The int8 forward passes, output by output.
namespace tinytrain {
namespace reference {
namespace {

// Returns the sum of one output of one channel.
template <typename Products>
int32_t SumOf(const Window& window, int output, int32_t bias,
              const Products& products) {
  int32_t sum = bias;
  VisitTaps(window, [&](int to, int from, int tap) {
    if (to == output) sum += products(from, tap);
  });
  return sum;
}

}  // namespace

void Conv2DForward(const Window& window, const int8_t* input,
                   const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                   const Requantization& to, int8_t* output, uint8_t* mask) {
  const int in = window.input.channels;
  const int out = window.output.channels;
  if (mask != nullptr) memset(mask, 0, MaskBytes(window.output.size()));
  RowReader<int8_t> rows(filter, window.taps() * in);
  RowReader<int32_t> biases(bias, 1);
  for (int f = 0; f < out; ++f) {
    const int8_t* row = rows.Next();
    const int32_t start = biases.NextValue();
    for (int p = 0; p < window.output.positions(); ++p) {
      const int32_t sum = SumOf(window, p, start, [=](int from, int tap) {
        int32_t products = 0;
        for (int c = 0; c < in; ++c) {
          products +=
              (input[from * in + c] - to.input_zero_point) * row[tap * in + c];
        }
        return products;
      });
      Requantize(to, f, sum, p * out + f, output, mask);
    }
  }
}

void DepthwiseConv2DForward(const Window& window, const int8_t* input,
                            const Rows<int8_t>& filter,
                            const Rows<int32_t>& bias, const Requantization& to,
                            int8_t* output, uint8_t* mask) {
  const int channels = window.input.channels;
  if (mask != nullptr) memset(mask, 0, MaskBytes(window.output.size()));
  RowReader<int32_t> biases(bias, 1);
  int trained = 0;
  for (int c = 0; c < channels; ++c) {
    const int8_t* taps = filter.base + c;
    int step = channels;
    if (trained < filter.replaced.count &&
        filter.replaced.index[trained] == c) {
      taps = filter.trained + trained * window.taps();
      step = 1;
      ++trained;
    }
    const int32_t start = biases.NextValue();
    for (int p = 0; p < window.output.positions(); ++p) {
      const int32_t sum = SumOf(window, p, start, [=](int from, int tap) {
        return (input[from * channels + c] - to.input_zero_point) *
               taps[tap * step];
      });
      Requantize(to, c, sum, p * channels + c, output, mask);
    }
  }
}

void AddForward(const Int8Addition& how, const int8_t* first,
                const int8_t* second, int count, int8_t* output,
                uint8_t* mask) {
  if (mask != nullptr) memset(mask, 0, MaskBytes(count));
  for (int i = 0; i < count; ++i) {
    const int32_t a = (first[i] - how.first_zero_point) * (1 << 20);
    const int32_t b = (second[i] - how.second_zero_point) * (1 << 20);
    const int32_t total =
        MultiplyRounded(a, how.first) + MultiplyRounded(b, how.second);
    const int32_t value = MultiplyRounded(total, how.sum) + how.zero_point;
    StoreClamped(value, how.low, how.high, i, output, mask);
  }
}

}  // namespace reference
}  // namespace tinytrain
