#include <string.h>

#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/pass.h"

// Fisher potential sums, for each example and channel, the linear output a
// times its gradient g over all positions. Neither needs a to be kept:
// - Where a was clamped, g is 0, so the clamped output does as well.
// - With a = w x + b the sum is w . d_w + b d_b, of the gradients of this
//   example's weights, which follow from x.
namespace tinytrain {

using format::kAbsent;
using format::kCandidate;
using format::Kind;
using format::Layer;
using format::Operation;

namespace {

// Rows whose gradients are computed at a time; the kernel takes two at once.
const uint32_t kRows = 2;

// The sum over a row of weights times gradients; weights are `step` apart.
template <typename Weight>
float RowProduct(const Weight* weights, uint32_t step, const float* gradient,
                 uint32_t size) {
  float sum = 0.0f;
  for (uint32_t k = 0; k < size; ++k) {
    sum = MultiplyAdd(static_cast<float>(weights[k * step]), gradient[k], sum);
  }
  return sum;
}

}  // namespace

void Pass::AddScores(uint32_t i) {
  const uint32_t index = model_.operation(i).layer;
  float* scores = nullptr;
  if (!memory_->counts_only()) {
    scores = parameters_->scores();
    for (uint32_t l = 0; l < index; ++l) {
      const Layer& layer = model_.layer(l);
      if ((layer.flags & kCandidate) != 0) scores += layer.channels;
    }
  }
  if (!schedule_.ScoresByOutput(i)) {
    ScoreByInput(i, scores);
  } else if (!memory_->counts_only()) {
    ScoreByOutput(i, scores);
  }
}

void Pass::ScoreByOutput(uint32_t i, float* scores) {
  const uint32_t output = model_.operation(i).output;
  const Shape shape = ShapeOf(model_.tensor(output));
  const float* values = static_cast<const float*>(Value(output));
  const float* gradient = Gradient(output);
  for (int c = 0; c < shape.channels; ++c) {
    float sum = 0.0f;
    for (int p = 0; p < shape.size(); p += shape.channels) {
      sum = MultiplyAdd(values[p + c], gradient[p + c], sum);
    }
    scores[c] = MultiplyAdd(sum, sum, scores[c]);
  }
}

void Pass::ScoreByInput(uint32_t i, float* scores) {
  const Operation& op = model_.operation(i);
  const Layer& layer = model_.layer(op.layer);
  const uint32_t size = RowSize(layer);
  const uint64_t bytes = kRows * (uint64_t{size} + 1) * sizeof(float);
  memory_->Take(ScratchBlock(), bytes, false);
  if (!memory_->counts_only()) {
    const bool depthwise = op.kind == Kind::kDepthwiseConv2D;
    const uint32_t row = depthwise ? 1 : size;
    const uint32_t step = depthwise ? layer.channels : 1;
    const bool stored = IsInt8(layer);
    float* d_filter = static_cast<float*>(memory_->At(ScratchBlock()));
    float* d_bias = d_filter + kRows * size;
    for (uint32_t c = 0; c < layer.channels; c += kRows) {
      const uint16_t pair[kRows] = {static_cast<uint16_t>(c),
                                    static_cast<uint16_t>(c + 1)};
      const uint32_t left = layer.channels - c;
      const Channels channels = {pair,
                                 static_cast<int>(left < kRows ? left : kRows)};
      memset(d_filter, 0, bytes);
      RunBackwardFilter(model_, op, WindowOf(model_, op), Value(op.input),
                        Gradient(op.output), channels, d_filter);
      BiasBackward(ShapeOf(model_.tensor(op.output)), Gradient(op.output),
                   channels, d_bias);
      for (int k = 0; k < channels.count; ++k) {
        const float* d_row = d_filter + k * size;
        const uint32_t at = (c + k) * row;
        float sum =
            stored ? RowProduct(model_.stored_kernel(layer) + at, step, d_row,
                                size)
                   : RowProduct(model_.kernel(layer) + at, step, d_row, size);
        if (layer.biases > 0) {
          const float bias =
              stored ? static_cast<float>(model_.stored_bias(layer)[c + k])
                     : model_.bias(layer)[c + k];
          sum = MultiplyAdd(bias, d_bias[k], sum);
        }
        scores[c + k] = MultiplyAdd(sum, sum, scores[c + k]);
      }
    }
  }
  memory_->Release(ScratchBlock(), bytes);
}

}  // namespace tinytrain
