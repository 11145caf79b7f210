#include "tinytrain/operation_kernels.h"

#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/dense.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/kernels/pooling.h"

namespace tinytrain {

using format::Activation;
using format::Kind;
using format::Operation;
using format::Tensor;

namespace {

void Copy(const float* from, int count, float* to) {
  if (from != to) memcpy(to, from, count * sizeof(*to));
}

void RunAdd(const Operands& operands, int count, float* output) {
  if (output == operands.second) {
    Add(operands.input, count, output);
    return;
  }
  Copy(operands.input, count, output);
  // Of a tensor added to itself `output` may be both.
  Add(operands.second, count, output);
}

void RunRescale(const Operation& operation, const float* input, int count,
                float* output) {
  for (int i = 0; i < count; ++i) {
    output[i] = MultiplyAdd(input[i], operation.factor, operation.summand);
  }
}

void Clamp(Activation activation, int count, float* values, uint8_t* mask) {
  if (activation == Activation::kRelu) ReluForward(count, values, mask);
  if (activation == Activation::kRelu6) Relu6Forward(count, values, mask);
}

}  // namespace

Shape ShapeOf(const Tensor& tensor) {
  const Shape shape = {static_cast<int>(tensor.height),
                       static_cast<int>(tensor.width),
                       static_cast<int>(tensor.channels)};
  return shape;
}

Window WindowOf(const Model& model, const Operation& operation) {
  const Shape input = ShapeOf(model.tensor(operation.input));
  const Shape output = ShapeOf(model.tensor(operation.output));
  if (operation.kind == Kind::kDense) {
    return DenseWindow(1, input.size(), output.channels);
  }
  const Window window = {input,
                         output,
                         operation.kernel_height,
                         operation.kernel_width,
                         operation.stride_down,
                         operation.stride_across,
                         operation.top,
                         operation.left};
  return window;
}

uint64_t ScratchBytes(const Model& model, const Operation& operation) {
  if (operation.kind != Kind::kDepthwiseConv2D) return 0;
  const Window window = WindowOf(model, operation);
  const size_t forward = DepthwiseConv2DForwardScratchBytes(window);
  const size_t backward = DepthwiseConv2DBackwardInputScratchBytes(window);
  return forward > backward ? forward : backward;
}

void RunForward(const Model& model, const Operation& operation,
                const Operands& operands, float* output) {
  const Window window = WindowOf(model, operation);
  const int count = window.output.size();
  switch (operation.kind) {
    case Kind::kConv2D:
    case Kind::kDense:
      Conv2DForward(window, operands.input, operands.filter, operands.bias,
                    output);
      break;
    case Kind::kDepthwiseConv2D:
      DepthwiseConv2DForward(window, operands.input, operands.filter,
                             operands.bias, operands.scratch, output);
      break;
    case Kind::kAdd:
      RunAdd(operands, count, output);
      break;
    case Kind::kGlobalAveragePool:
      GlobalAveragePoolingForward(window.input, operands.input, output);
      break;
    case Kind::kAveragePool:
      AveragePoolingForward(window, operands.input, output);
      break;
    case Kind::kMaxPool:
      MaxPoolingForward(window, operands.input, output, operands.taps);
      break;
    case Kind::kActivation:
      Copy(operands.input, count, output);
      break;
    case Kind::kRescale:
      RunRescale(operation, operands.input, count, output);
      break;
  }
  Clamp(operation.activation, count, output, operands.mask);
}

void RunBackwardInput(const Model& model, const Operation& operation,
                      const Operands& operands, const float* d_output,
                      float* d_input) {
  const Window window = WindowOf(model, operation);
  switch (operation.kind) {
    case Kind::kConv2D:
    case Kind::kDense:
      Conv2DBackwardInput(window, d_output, operands.filter, d_input);
      break;
    case Kind::kDepthwiseConv2D:
      DepthwiseConv2DBackwardInput(window, d_output, operands.filter,
                                   operands.scratch, d_input);
      break;
    case Kind::kGlobalAveragePool:
      GlobalAveragePoolingBackward(window.input, d_output, d_input);
      break;
    case Kind::kAveragePool:
      AveragePoolingBackward(window, d_output, d_input);
      break;
    case Kind::kMaxPool:
      MaxPoolingBackward(window, operands.taps, d_output, d_input);
      break;
    default:
      break;
  }
}

void RunBackwardFilter(const Model& model, const Operation& operation,
                       const float* input, const float* d_output,
                       const Channels& channels, float* d_filter) {
  const Window window = WindowOf(model, operation);
  if (operation.kind == Kind::kDepthwiseConv2D) {
    DepthwiseConv2DBackwardFilter(window, input, d_output, channels, d_filter);
  } else {
    Conv2DBackwardFilter(window, input, d_output, channels, d_filter);
  }
}

}  // namespace tinytrain
