#include <string.h>

#include <cmath>

#include "tinytrain/finite.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/pass.h"

// Steps of SGD in place. There are no gradients but of two rows at a time:
// of each layer they are made when its input gradient is there, and taken.
namespace tinytrain {

using format::Layer;
using format::Operation;

namespace {

// The kernel takes two at once.
const int kRows = 2;

// Moves `value` by a real number of steps, up or down to one of the integers
// next to where that leads, each as likely as it is near: so its mean is where
// it leads. `limit` is the largest magnitude.
template <typename Stored>
void Move(float steps, float limit, Random* random, Stored* value) {
  const float most = 2.0f * limit;
  const float kept = steps < -most ? -most : steps > most ? most : steps;
  const float whole = std::floor(kept);
  const float up = random->Next() < kept - whole ? 1.0f : 0.0f;
  const float moved = static_cast<float>(*value) + (whole + up);
  *value = static_cast<Stored>(moved < -limit  ? -limit
                               : moved > limit ? limit
                                               : moved);
}

}  // namespace

// Whether what the input gradient needs changes in the step. It needs no
// biases.
bool Pass::StepsLate(uint32_t i) const {
  return in_place_ && schedule_.Learns(i) && schedule_.part(i).weights() > 0;
}

void Pass::Step(uint32_t i) {
  const uint64_t bytes =
      uint64_t{kRows} * schedule_.part(i).row_size() * sizeof(float);
  if (bytes > 0) memory_->Take(ScratchBlock(), bytes, false);
  if (!memory_->counts_only()) {
    const uint32_t output = model_.operation(i).output;
    is_finite_ =
        is_finite_ && AllFinite(Gradient(output), model_.tensor(output).size());
    if (is_finite_ && bytes > 0) StepRows(i);
    if (is_finite_) StepBiases(i);
  }
  if (bytes > 0) memory_->Release(ScratchBlock(), bytes);
}

void Pass::StepRows(uint32_t i) {
  const Operation& op = model_.operation(i);
  const Layer& layer = model_.layer(op.layer);
  const uint32_t size = schedule_.part(i).row_size();
  const Channels rows = TrainedRows(i);
  Window window;
  const void* input = Learned(i, &window);
  float* const gradient = static_cast<float*>(memory_->At(ScratchBlock()));
  const bool is_stored = IsInt8(layer);
  int8_t* const stored =
      is_stored ? parameters_->stored_slice(op.layer) : nullptr;
  float* const slice = is_stored ? nullptr : parameters_->slice(op.layer);
  for (int r = 0; r < rows.count; r += kRows) {
    uint16_t pair[kRows] = {};
    Channels some = {pair, rows.count - r < kRows ? rows.count - r : kRows};
    for (int k = 0; k < some.count; ++k) {
      pair[k] = static_cast<uint16_t>(rows.at(r + k));
    }
    memset(gradient, 0, kRows * size * sizeof(float));
    RunBackwardFilter(model_, op, window, input, Gradient(op.output), some,
                      gradient);
    for (int k = 0; k < some.count; ++k) {
      const float* d_row = gradient + k * size;
      const uint32_t first = (r + k) * size;
      if (!is_stored) {
        float* row = slice + first;
        for (uint32_t c = 0; c < size; ++c) {
          row[c] = MultiplyAdd(-rate_, d_row[c], row[c]);
        }
        continue;
      }
      // Quantisation-aware scaling: in steps of s the real step is 1 / s^2.
      const float scale = model_.scales(layer)[pair[k]];
      int8_t* row = stored + first;
      for (uint32_t c = 0; c < size; ++c) {
        const float steps = -rate_ * d_row[c] / scale / scale;
        Move(steps, kLargestWeight, random_, row + c);
      }
    }
  }
}

void Pass::StepBiases(uint32_t i) {
  const Operation& op = model_.operation(i);
  const Layer& layer = model_.layer(op.layer);
  const Channels biased = parameters_->biased(op.layer);
  const Shape shape = ShapeOf(model_.tensor(op.output));
  const float input_scale = model_.tensor(op.input).scale;
  const float* const d_output = Gradient(op.output);
  const bool is_stored = IsInt8(layer);
  const float* const scales = is_stored ? model_.scales(layer) : nullptr;
  int32_t* const stored =
      is_stored ? parameters_->stored_bias_slice(op.layer) : nullptr;
  float* const biases = is_stored ? nullptr : parameters_->bias_slice(op.layer);
  const float limit = is_stored ? BiasLimit(model_, layer) : 0.0f;
  for (int k = 0; k < biased.count; ++k) {
    const uint16_t channel = static_cast<uint16_t>(biased.at(k));
    const Channels one = {&channel, 1};
    float gradient = 0.0f;
    BiasBackward(shape, d_output, one, &gradient);
    if (!is_stored) {
      biases[k] = MultiplyAdd(-rate_, gradient, biases[k]);
      continue;
    }
    const float scale = scales[channel] * input_scale;
    Move(-rate_ * gradient / scale / scale, limit, random_, stored + k);
  }
}

}  // namespace tinytrain
