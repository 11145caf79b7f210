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

const float* Floats(const void* values) {
  return static_cast<const float*>(values);
}

void Copy(const float* from, int count, float* to) {
  if (from != to) memcpy(to, from, count * sizeof(*to));
}

void RunAdd(const Operands& operands, int count, float* output) {
  if (output == operands.second) {
    Add(Floats(operands.input), count, output);
    return;
  }
  Copy(Floats(operands.input), count, output);
  // Of a tensor added to itself `output` may be both.
  Add(Floats(operands.second), count, output);
}

void RunRescale(const Operation& operation, const float* input, int count,
                float* output) {
  for (int i = 0; i < count; ++i) {
    output[i] = MultiplyAdd(input[i], operation.factor, operation.summand);
  }
}

void RunDequantize(const Tensor& tensor, const void* input, int count,
                   float* output) {
  const int8_t* stored = static_cast<const int8_t*>(input);
  for (int i = 0; i < count; ++i) {
    output[i] =
        static_cast<float>(stored[i] - tensor.zero_point) * tensor.scale;
  }
}

template <typename T>
void CopyChannels(const Shape& shape, const void* values,
                  const Channels& channels, void* to) {
  const T* from = static_cast<const T*>(values);
  T* end = static_cast<T*>(to);
  for (int p = shape.positions(); p > 0; --p) {
    for (int i = 0; i < channels.count; ++i) *end++ = from[channels.index[i]];
    from += shape.channels;
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

bool ReadsInt8(const Model& model, const Operation& operation) {
  return model.tensor(operation.input).type == format::kInt8;
}

uint64_t ForwardScratchBytes(const Model& model, const Operation& operation) {
  if (operation.kind != Kind::kDepthwiseConv2D) return 0;
  const Window window = WindowOf(model, operation);
  return ReadsInt8(model, operation)
             ? DepthwiseConv2DForwardInt8ScratchBytes(window)
             : DepthwiseConv2DForwardScratchBytes(window);
}

uint64_t BackwardScratchBytes(const Model& model, const Operation& operation) {
  if (operation.kind != Kind::kDepthwiseConv2D) return 0;
  const Window window = WindowOf(model, operation);
  return ReadsInt8(model, operation)
             ? DepthwiseConv2DBackwardInputInt8ScratchBytes(window)
             : DepthwiseConv2DBackwardInputScratchBytes(window);
}

void RunForward(const Model& model, const Operation& operation,
                const Operands& operands, void* to) {
  if (ReadsInt8(model, operation) && operation.kind != Kind::kDequantize) {
    RunForwardInt8(model, operation, operands, static_cast<int8_t*>(to));
    return;
  }
  const Window window = WindowOf(model, operation);
  const int count = window.output.size();
  const float* input = Floats(operands.input);
  float* output = static_cast<float*>(to);
  switch (operation.kind) {
    case Kind::kConv2D:
    case Kind::kDense:
      Conv2DForward(window, input, operands.rows.filter, operands.rows.bias,
                    output);
      break;
    case Kind::kDepthwiseConv2D:
      DepthwiseConv2DForward(window, input, operands.rows.filter,
                             operands.rows.bias, operands.scratch, output);
      break;
    case Kind::kAdd:
      RunAdd(operands, count, output);
      break;
    case Kind::kGlobalAveragePool:
      GlobalAveragePoolingForward(window.input, input, output);
      break;
    case Kind::kAveragePool:
      AveragePoolingForward(window, input, output);
      break;
    case Kind::kMaxPool:
      MaxPoolingForward(window, input, output, operands.taps);
      break;
    case Kind::kActivation:
      Copy(input, count, output);
      break;
    case Kind::kRescale:
      RunRescale(operation, input, count, output);
      break;
    case Kind::kDequantize:
      RunDequantize(model.tensor(operation.input), operands.input, count,
                    output);
      break;
  }
  Clamp(operation.activation, count, output, operands.mask);
}

void ScaleGradient(const Model& model, const Operation& operation,
                   float* gradient) {
  const format::Layer& layer = model.layer(operation.layer);
  const int32_t* multipliers = model.multipliers(layer);
  const int8_t* shifts = model.shifts(layer);
  const uint32_t positions = model.tensor(operation.output).positions();
  uint32_t c = 0;
  for (; c + 4 <= layer.channels; c += 4) {
    const float factor0 = FactorOf(multipliers[c], shifts[c]);
    const float factor1 = FactorOf(multipliers[c + 1], shifts[c + 1]);
    const float factor2 = FactorOf(multipliers[c + 2], shifts[c + 2]);
    const float factor3 = FactorOf(multipliers[c + 3], shifts[c + 3]);
    float* to = gradient + c;
    for (uint32_t p = positions; p > 0; --p) {
      to[0] *= factor0;
      to[1] *= factor1;
      to[2] *= factor2;
      to[3] *= factor3;
      to += layer.channels;
    }
  }
  for (; c < layer.channels; ++c) {
    const float factor = FactorOf(multipliers[c], shifts[c]);
    float* to = gradient + c;
    for (uint32_t p = positions; p > 0; --p) {
      *to *= factor;
      to += layer.channels;
    }
  }
}

float GradientShare(const Model& model, const Operation& operation,
                    uint32_t input) {
  const Tensor& from = model.tensor(input);
  switch (operation.kind) {
    case Kind::kRescale:
      return operation.factor;
    case Kind::kDequantize:
      return from.scale;
    case Kind::kAdd:
      if (ReadsInt8(model, operation)) {
        return from.scale / model.tensor(operation.output).scale;
      }
      return 1.0f;
    default:
      return 1.0f;
  }
}

void RunBackwardInput(const Model& model, const Operation& operation,
                      const Operands& operands, const float* d_output,
                      float* d_input) {
  const Window window = WindowOf(model, operation);
  const LayerRows& rows = operands.rows;
  const bool stored = ReadsInt8(model, operation);
  switch (operation.kind) {
    case Kind::kConv2D:
    case Kind::kDense:
      if (stored) {
        Conv2DBackwardInput(window, d_output, rows.stored_filter, d_input);
      } else {
        Conv2DBackwardInput(window, d_output, rows.filter, d_input);
      }
      break;
    case Kind::kDepthwiseConv2D:
      if (stored) {
        DepthwiseConv2DBackwardInput(window, d_output, rows.stored_filter,
                                     operands.scratch, d_input);
      } else {
        DepthwiseConv2DBackwardInput(window, d_output, rows.filter,
                                     operands.scratch, d_input);
      }
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

uint64_t BackwardInPlaceScratchBytes(const Model& model,
                                     const Operation& operation) {
  return DepthwiseConv2DBackwardInPlaceScratchBytes(WindowOf(model, operation));
}

void RunBackwardInPlace(const Model& model, const Operation& operation,
                        const Operands& operands, float* gradient) {
  DepthwiseConv2DBackwardInPlace(WindowOf(model, operation),
                                 operands.rows.stored_filter, operands.scratch,
                                 gradient);
}

void RunBackwardFilter(const Model& model, const Operation& operation,
                       const Window& window, const void* input,
                       const float* d_output, const Channels& channels,
                       float* d_filter) {
  const bool depthwise = operation.kind == Kind::kDepthwiseConv2D;
  if (ReadsInt8(model, operation)) {
    const int8_t* stored = static_cast<const int8_t*>(input);
    const int zero_point = model.tensor(operation.input).zero_point;
    if (depthwise) {
      DepthwiseConv2DBackwardFilter(window, stored, zero_point, d_output,
                                    channels, d_filter);
    } else {
      Conv2DBackwardFilter(window, stored, zero_point, d_output, channels,
                           d_filter);
    }
  } else if (depthwise) {
    DepthwiseConv2DBackwardFilter(window, Floats(input), d_output, channels,
                                  d_filter);
  } else {
    Conv2DBackwardFilter(window, Floats(input), d_output, channels, d_filter);
  }
}

void CopyInputs(const Model& model, const Operation& operation,
                const void* input, const Channels& channels, void* to) {
  const Shape shape = WindowOf(model, operation).input;
  if (ReadsInt8(model, operation)) {
    CopyChannels<int8_t>(shape, input, channels, to);
  } else {
    CopyChannels<float>(shape, input, channels, to);
  }
}

}  // namespace tinytrain
