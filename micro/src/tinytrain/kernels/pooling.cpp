#include "tinytrain/kernels/pooling.h"

#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// What the window of output (y, x) covers of the input.
Region RegionAt(const Window& w, int y, int x) {
  const int top = y * w.stride_height - w.pad_top;
  const int left = x * w.stride_width - w.pad_left;
  const Range rows = TapsInside(top, w.kernel_height, w.input.height);
  const Range columns = TapsInside(left, w.kernel_width, w.input.width);
  const Region region = {top + rows.begin, left + columns.begin, rows.size(),
                         columns.size()};
  return region;
}

Region Whole(const Shape& shape) {
  const Region region = {0, 0, shape.height, shape.width};
  return region;
}

// The mean of one channel, halves rounded away from zero.
int8_t AverageOf(const Shape& shape, const Region& region,
                 const int8_t* input) {
  int32_t sum = 0;
  for (int y = 0; y < region.height; ++y) {
    const int8_t* from =
        input + ((region.top + y) * shape.width + region.left) * shape.channels;
    for (int x = 0; x < region.width; ++x) {
      sum += *from;
      from += shape.channels;
    }
  }
  const int32_t count = region.height * region.width;
  const int32_t half = sum < 0 ? -(count / 2) : count / 2;
  return static_cast<int8_t>((sum + half) / count);
}

template <typename Value>
void TakeLargest(const Window& window, const Value* input, Value* output,
                 uint8_t* taps) {
  const int channels = window.input.channels;
  for (int y = 0; y < window.output.height; ++y) {
    for (int x = 0; x < window.output.width; ++x) {
      const Region region = RegionAt(window, y, x);
      for (int c = 0; c < channels; ++c) {
        const Value* corner =
            input + (region.top * window.input.width + region.left) * channels +
            c;
        Value largest = *corner;
        int tap = 0;
        for (int k = 0; k < region.height; ++k) {
          for (int l = 0; l < region.width; ++l) {
            const Value value = corner[(k * window.input.width + l) * channels];
            if (value > largest || value != value) {
              largest = value;
              tap = k * window.kernel_width + l;
            }
          }
        }
        *output++ = largest;
        if (taps != nullptr) *taps++ = static_cast<uint8_t>(tap);
      }
    }
  }
}

}  // namespace

void RegionAverageForward(const Shape& input_shape, const Region& region,
                          const float* input, float* output) {
  const int channels = input_shape.channels;
  const float count = static_cast<float>(region.height * region.width);
  for (int c = 0; c < channels; ++c) output[c] = 0.0f;
  for (int y = 0; y < region.height; ++y) {
    const float* from =
        input + ((region.top + y) * input_shape.width + region.left) * channels;
    for (int x = 0; x < region.width; ++x) {
      for (int c = 0; c < channels; ++c) output[c] += *from++;
    }
  }
  for (int c = 0; c < channels; ++c) output[c] /= count;
}

void RegionAverageBackward(const Shape& input_shape, const Region& region,
                           const float* d_output, float* d_input) {
  const int channels = input_shape.channels;
  const float share = 1.0f / static_cast<float>(region.height * region.width);
  for (int y = 0; y < region.height; ++y) {
    float* to = d_input +
                ((region.top + y) * input_shape.width + region.left) * channels;
    for (int x = 0; x < region.width; ++x) {
      for (int c = 0; c < channels; ++c, ++to) {
        *to = MultiplyAdd(d_output[c], share, *to);
      }
    }
  }
}

void GlobalAveragePoolingForward(const Shape& input_shape, const float* input,
                                 float* output) {
  RegionAverageForward(input_shape, Whole(input_shape), input, output);
}

void GlobalAveragePoolingForward(const Shape& input_shape, const int8_t* input,
                                 int8_t* output) {
  for (int c = 0; c < input_shape.channels; ++c) {
    output[c] = AverageOf(input_shape, Whole(input_shape), input + c);
  }
}

void GlobalAveragePoolingBackward(const Shape& input_shape,
                                  const float* d_output, float* d_input) {
  RegionAverageBackward(input_shape, Whole(input_shape), d_output, d_input);
}

void AveragePoolingForward(const Window& window, const float* input,
                           float* output) {
  for (int y = 0; y < window.output.height; ++y) {
    for (int x = 0; x < window.output.width; ++x) {
      RegionAverageForward(window.input, RegionAt(window, y, x), input, output);
      output += window.output.channels;
    }
  }
}

void AveragePoolingForward(const Window& window, const int8_t* input,
                           int8_t* output) {
  for (int y = 0; y < window.output.height; ++y) {
    for (int x = 0; x < window.output.width; ++x) {
      const Region region = RegionAt(window, y, x);
      for (int c = 0; c < window.input.channels; ++c) {
        *output++ = AverageOf(window.input, region, input + c);
      }
    }
  }
}

void AveragePoolingBackward(const Window& window, const float* d_output,
                            float* d_input) {
  for (int y = 0; y < window.output.height; ++y) {
    for (int x = 0; x < window.output.width; ++x) {
      RegionAverageBackward(window.input, RegionAt(window, y, x), d_output,
                            d_input);
      d_output += window.output.channels;
    }
  }
}

void MaxPoolingForward(const Window& window, const float* input, float* output,
                       uint8_t* taps) {
  TakeLargest(window, input, output, taps);
}

void MaxPoolingForward(const Window& window, const int8_t* input,
                       int8_t* output, uint8_t* taps) {
  TakeLargest(window, input, output, taps);
}

void MaxPoolingBackward(const Window& window, const uint8_t* taps,
                        const float* d_output, float* d_input) {
  const int channels = window.input.channels;
  for (int y = 0; y < window.output.height; ++y) {
    for (int x = 0; x < window.output.width; ++x) {
      const Region region = RegionAt(window, y, x);
      for (int c = 0; c < channels; ++c) {
        // Taps count from the corner of what the window covers.
        const int row = region.top + *taps / window.kernel_width;
        const int column = region.left + *taps++ % window.kernel_width;
        d_input[(row * window.input.width + column) * channels + c] +=
            *d_output++;
      }
    }
  }
}

}  // namespace tinytrain
