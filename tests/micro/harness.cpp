// What tests see of the kernels: plain functions for ctypes.

#include "tinytrain/arena.h"
#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/cosine_head.h"
#include "tinytrain/kernels/dense.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/exponential.h"
#include "tinytrain/kernels/pooling.h"
#include "tinytrain/kernels/pyramid_pooling.h"

using namespace tinytrain;  // NOLINT: a test.

// Weights with some rows replaced, as ctypes lays them out.
struct TestRows {
  const float* base;
  const float* trained;
  const uint16_t* index;
  int count;

  Rows<float> rows() const {
    const Rows<float> rows = {base, trained, {index, count}};
    return rows;
  }
};

extern "C" {

int set_output(int channels, const Padding* padding, Window* window) {
  return static_cast<int>(SetOutput(channels, *padding, window).code);
}

int check_window(const Window* window) {
  return static_cast<int>(CheckWindow(*window).code);
}

void dense_window(int positions, int in, int out, Window* window) {
  *window = DenseWindow(positions, in, out);
}

void conv2d_forward(int fast, const Window* window, const float* input,
                    const TestRows* filter, const TestRows* bias,
                    float* output) {
  if (fast) {
    Conv2DForward(*window, input, filter->rows(), bias->rows(), output);
  } else {
    reference::Conv2DForward(*window, input, filter->rows(), bias->rows(),
                             output);
  }
}

void conv2d_backward_input(int fast, const Window* window,
                           const float* d_output, const TestRows* filter,
                           float* d_input) {
  if (fast) {
    Conv2DBackwardInput(*window, d_output, filter->rows(), d_input);
  } else {
    reference::Conv2DBackwardInput(*window, d_output, filter->rows(), d_input);
  }
}

void conv2d_backward_filter(int fast, const Window* window, const float* input,
                            const float* d_output, const uint16_t* index,
                            int count, float* d_filter) {
  const Channels channels = {index, count};
  if (fast) {
    Conv2DBackwardFilter(*window, input, d_output, channels, d_filter);
  } else {
    reference::Conv2DBackwardFilter(*window, input, d_output, channels,
                                    d_filter);
  }
}

void bias_backward(const Window* window, const float* d_output,
                   const uint16_t* index, int count, float* d_bias) {
  const Channels channels = {index, count};
  BiasBackward(window->output, d_output, channels, d_bias);
}

unsigned depthwise_conv2d_forward_scratch_bytes(const Window* window) {
  return DepthwiseConv2DForwardScratchBytes(*window);
}

unsigned depthwise_conv2d_backward_input_scratch_bytes(const Window* window) {
  return DepthwiseConv2DBackwardInputScratchBytes(*window);
}

void depthwise_conv2d_forward(int fast, const Window* window,
                              const float* input, const TestRows* filter,
                              const TestRows* bias, void* scratch,
                              float* output) {
  if (fast) {
    DepthwiseConv2DForward(*window, input, filter->rows(), bias->rows(),
                           scratch, output);
  } else {
    reference::DepthwiseConv2DForward(*window, input, filter->rows(),
                                      bias->rows(), output);
  }
}

void depthwise_conv2d_backward_input(int fast, const Window* window,
                                     const float* d_output,
                                     const TestRows* filter, void* scratch,
                                     float* d_input) {
  if (fast) {
    DepthwiseConv2DBackwardInput(*window, d_output, filter->rows(), scratch,
                                 d_input);
  } else {
    reference::DepthwiseConv2DBackwardInput(*window, d_output, filter->rows(),
                                            d_input);
  }
}

void depthwise_conv2d_backward_filter(int fast, const Window* window,
                                      const float* input, const float* d_output,
                                      const uint16_t* index, int count,
                                      float* d_filter) {
  const Channels channels = {index, count};
  if (fast) {
    DepthwiseConv2DBackwardFilter(*window, input, d_output, channels, d_filter);
  } else {
    reference::DepthwiseConv2DBackwardFilter(*window, input, d_output, channels,
                                             d_filter);
  }
}

unsigned mask_bytes(int count) { return MaskBytes(count); }

void relu_forward(int six, int count, float* values, uint8_t* mask) {
  (six ? Relu6Forward : ReluForward)(count, values, mask);
}

void relu_backward(const uint8_t* mask, int count, float* gradient) {
  ReluBackward(mask, count, gradient);
}

void add(const float* addends, int count, float* values) {
  Add(addends, count, values);
}

void global_average_pooling_forward(const Shape* shape, const float* input,
                                    float* output) {
  GlobalAveragePoolingForward(*shape, input, output);
}

void global_average_pooling_backward(const Shape* shape, const float* d_output,
                                     float* d_input) {
  GlobalAveragePoolingBackward(*shape, d_output, d_input);
}

void average_pooling_forward(const Window* window, const float* input,
                             float* output) {
  AveragePoolingForward(*window, input, output);
}

void average_pooling_backward(const Window* window, const float* d_output,
                              float* d_input) {
  AveragePoolingBackward(*window, d_output, d_input);
}

unsigned max_pooling_taps_bytes(const Window* window) {
  return MaxPoolingTapsBytes(*window);
}

void max_pooling_forward(const Window* window, const float* input,
                         float* output, uint8_t* taps) {
  MaxPoolingForward(*window, input, output, taps);
}

void max_pooling_backward(const Window* window, const uint8_t* taps,
                          const float* d_output, float* d_input) {
  MaxPoolingBackward(*window, taps, d_output, d_input);
}

void pyramid_pooling_forward(const Shape* shape, const float* input,
                             float* embedding, float* inverse_norms) {
  PyramidPoolingForward(*shape, input, embedding, inverse_norms);
}

void pyramid_pooling_backward(const Shape* shape, const float* embedding,
                              const float* inverse_norms, float* d_embedding,
                              float* d_input) {
  PyramidPoolingBackward(*shape, embedding, inverse_norms, d_embedding,
                         d_input);
}

void cosine_head_forward(const CosineHead* head, const float* embedding,
                         const float* class_vectors, float* inverse_norms,
                         float* logits) {
  CosineHeadForward(*head, embedding, class_vectors, inverse_norms, logits);
}

void cosine_head_backward(const CosineHead* head, const float* embedding,
                          const float* class_vectors,
                          const float* inverse_norms, const float* logits,
                          const float* d_logits, float* d_embedding,
                          float* d_class_vectors) {
  CosineHeadBackward(*head, embedding, class_vectors, inverse_norms, logits,
                     d_logits, d_embedding, 1.0f, d_class_vectors);
}

float softmax_cross_entropy(const float* logits, int classes, int label,
                            float* d_logits) {
  return SoftmaxCrossEntropy(logits, classes, label, d_logits);
}

float exp_of_negative(float x) { return ExpOfNegative(x); }

float log_above_one(float x) { return LogAboveOne(x); }

// Allocates `count` parts of `bytes[i]` each; returns the code of the first
// that fails, and the numbers of its status.
int arena_allocate(void* region, unsigned size, const unsigned* bytes,
                   int count, unsigned* offsets, unsigned* numbers) {
  Arena arena;
  Status status = arena.Init(region, size);
  for (int i = 0; status.ok() && i < count; ++i) {
    uint8_t* part = nullptr;
    status = arena.Allocate(bytes[i], &part);
    if (status.ok()) offsets[i] = part - static_cast<uint8_t*>(region);
  }
  numbers[0] = status.requested;
  numbers[1] = status.available;
  numbers[2] = status.missing;
  numbers[3] = arena.used();
  return static_cast<int>(status.code);
}

unsigned high_water_mark(void* region, unsigned bytes, unsigned written) {
  Poison(region, bytes);
  for (unsigned i = 0; i < written; ++i) static_cast<uint8_t*>(region)[i] = 0;
  return HighWaterMark(region, bytes);
}
}
