// What tests see of the int8 kernels: plain functions for ctypes.

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/pooling.h"
#include "tinytrain/kernels/requantization.h"

using namespace tinytrain;  // NOLINT: a test.

namespace {

// Weights with some rows replaced, as ctypes lays them out.
template <typename T>
struct TestRows {
  const T* base;
  const T* trained;
  const uint16_t* index;
  int count;

  Rows<T> rows() const {
    const Rows<T> rows = {base, trained, {index, count}};
    return rows;
  }
};

typedef TestRows<int8_t> Filter;
typedef TestRows<int32_t> Bias;

}  // namespace

extern "C" {

void encode_factor(double real, int* multiplier, int* shift) {
  const Factor factor = EncodeFactor(real);
  *multiplier = factor.multiplier;
  *shift = factor.shift;
}

void multiply_rounded(int fast, const int32_t* values, int count,
                      int multiplier, int shift, int32_t* results) {
  const Factor factor = {multiplier, shift};
  for (int i = 0; i < count; ++i) {
    results[i] = fast ? MultiplyRounded(values[i], multiplier, shift)
                      : reference::MultiplyRounded(values[i], factor);
  }
}

void conv2d_forward_int8(int fast, const Window* window, const int8_t* input,
                         const Filter* filter, const Bias* bias,
                         const Requantization* to, int8_t* output,
                         uint8_t* mask) {
  if (fast) {
    Conv2DForward(*window, input, filter->rows(), bias->rows(), *to, output,
                  mask);
  } else {
    reference::Conv2DForward(*window, input, filter->rows(), bias->rows(), *to,
                             output, mask);
  }
}

unsigned depthwise_conv2d_forward_int8_scratch_bytes(const Window* window) {
  return DepthwiseConv2DForwardInt8ScratchBytes(*window);
}

void depthwise_conv2d_forward_int8(int fast, const Window* window,
                                   const int8_t* input, const Filter* filter,
                                   const Bias* bias, const Requantization* to,
                                   void* scratch, int8_t* output,
                                   uint8_t* mask) {
  if (fast) {
    DepthwiseConv2DForward(*window, input, filter->rows(), bias->rows(), *to,
                           scratch, output, mask);
  } else {
    reference::DepthwiseConv2DForward(*window, input, filter->rows(),
                                      bias->rows(), *to, output, mask);
  }
}

// The gradient of the input, or, `over` that of the output, there.
void depthwise_conv2d_backward_input_int8(int over, const Window* window,
                                          const int8_t* filter, void* scratch,
                                          float* d_output, float* d_input) {
  const Rows<int8_t> rows(filter, nullptr, Channels());
  if (over) {
    DepthwiseConv2DBackwardInPlace(*window, rows, scratch, d_output);
  } else {
    DepthwiseConv2DBackwardInput(*window, d_output, rows, scratch, d_input);
  }
}

// Of a filter in float32 some of whose inputs are elsewhere; without inputs it
// is whole. Forward, and the gradient of the input.
void conv2d_with_inputs(const Window* window, const float* filter,
                        const float* slice, const uint16_t* index, int count,
                        float* patch, const float* input, float* output,
                        const float* d_output, float* d_input) {
  const Channels inputs = {index, count};
  Rows<float> rows(filter, slice, inputs);
  rows.tap = count > 0 ? window->input.channels : 0;
  rows.patch = patch;
  Conv2DForward(*window, input, rows, Rows<float>(), output);
  Conv2DBackwardInput(*window, d_output, rows, d_input);
}

void add_forward_int8(int fast, const float* scales, const int* zero_points,
                      int low, int high, const int8_t* first,
                      const int8_t* second, int count, int8_t* output,
                      uint8_t* mask) {
  const Int8Scale of[] = {{scales[0], zero_points[0]},
                          {scales[1], zero_points[1]},
                          {scales[2], zero_points[2]}};
  const Int8Addition how = Int8Addition::Make(of[0], of[1], of[2], low, high);
  (fast ? AddForward : reference::AddForward)(how, first, second, count, output,
                                              mask);
}

void clamp_forward_int8(const int8_t* input, int count, int low, int high,
                        int8_t* output, uint8_t* mask) {
  ClampForward(input, count, low, high, output, mask);
}

void global_average_pooling_forward_int8(const Shape* shape,
                                         const int8_t* input, int8_t* output) {
  GlobalAveragePoolingForward(*shape, input, output);
}

void average_pooling_forward_int8(const Window* window, const int8_t* input,
                                  int8_t* output) {
  AveragePoolingForward(*window, input, output);
}

void max_pooling_forward_int8(const Window* window, const int8_t* input,
                              int8_t* output, uint8_t* taps) {
  MaxPoolingForward(*window, input, output, taps);
}
}
