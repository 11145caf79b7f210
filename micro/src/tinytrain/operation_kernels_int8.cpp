#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/pooling.h"
#include "tinytrain/operation_kernels.h"

namespace tinytrain {

using format::Activation;
using format::Kind;
using format::Operation;
using format::Tensor;

namespace {

// What type and activation leave of a tensor's stored numbers.
struct Bounds {
  int low;
  int high;
};

Bounds BoundsOf(Activation activation, const Tensor& tensor) {
  Bounds bounds = {-128, 127};
  if (activation == Activation::kNone) return bounds;
  bounds.low = tensor.zero_point;
  if (activation == Activation::kRelu6) {
    const float six = 6.0f / tensor.scale;
    if (six < 256.0f) {
      // As `floor(six + 0.5)`, without rounding that sum.
      const int whole = static_cast<int>(six);
      const bool is_up = six - static_cast<float>(whole) >= 0.5f;
      const int high = tensor.zero_point + whole + (is_up ? 1 : 0);
      if (high < bounds.high) bounds.high = high;
    }
  }
  return bounds;
}

Int8Scale ScaleOf(const Tensor& tensor) {
  const Int8Scale scale = {tensor.scale, tensor.zero_point};
  return scale;
}

}  // namespace

void RunForwardInt8(const Model& model, const Operation& operation,
                    const Operands& operands, int8_t* output) {
  RunWindowInt8(model, operation, WindowOf(model, operation), operands, output);
}

void RunWindowInt8(const Model& model, const Operation& operation,
                   const Window& window, const Operands& operands,
                   int8_t* output) {
  const Tensor& from = model.tensor(operation.input);
  const Tensor& to = model.tensor(operation.output);
  const Bounds bounds = BoundsOf(operation.activation, to);
  const int count = window.output.size();
  const int8_t* input = static_cast<const int8_t*>(operands.input);
  Requantization how = {nullptr,       nullptr,    from.zero_point,
                        to.zero_point, bounds.low, bounds.high};
  if (operation.layer != format::kAbsent) {
    const format::Layer& layer = model.layer(operation.layer);
    how.multiplier = model.multipliers(layer);
    how.shift = model.shifts(layer);
  }
  switch (operation.kind) {
    case Kind::kConv2D:
    case Kind::kDense:
      Conv2DForward(window, input, operands.rows.stored_filter,
                    operands.rows.stored_bias, how, output, operands.mask);
      break;
    case Kind::kDepthwiseConv2D:
      DepthwiseConv2DForward(window, input, operands.rows.stored_filter,
                             operands.rows.stored_bias, how, operands.scratch,
                             output, operands.mask);
      break;
    case Kind::kAdd:
      AddForward(Int8Addition::Make(ScaleOf(from),
                                    ScaleOf(model.tensor(operation.second)),
                                    ScaleOf(to), bounds.low, bounds.high),
                 input, static_cast<const int8_t*>(operands.second), count,
                 output, operands.mask);
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
      ClampForward(input, count, bounds.low, bounds.high, output,
                   operands.mask);
      break;
    case Kind::kRescale:
    case Kind::kDequantize:
      break;
  }
}

}  // namespace tinytrain
