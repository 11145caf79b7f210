#include "tinytrain/optimizer.h"

#include <cmath>

#include "tinytrain/finite.h"
#include "tinytrain/kernels/exponential.h"
#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/parameters.h"

namespace tinytrain {
namespace {

// keras_tinytrain.training.
const float kRate = 3e-3f;
const float kMaxRate = 1e-2f;

// keras.optimizers.Adam.
const float kBeta1 = 0.9f;
const float kBeta2 = 0.999f;
const float kOneMinusBeta1 = 0.1f;
const float kOneMinusBeta2 = 0.001f;
const float kEpsilon = 1e-7f;

}  // namespace

float LearningRate(float loss, uint32_t classes, float share) {
  const float guessing = LogAboveOne(static_cast<float>(classes));
  const float relative = loss / guessing;
  const float rate = kRate * relative * relative / std::sqrt(share);
  return rate < kMaxRate ? rate : kMaxRate;
}

void Stepper::Reset(Optimizer optimizer, float momentum) {
  optimizer_ = optimizer;
  momentum_ = momentum;
  power1_ = power2_ = 1.0f;
}

Units::Units(const Model& model, uint32_t floats, const Selection& selection)
    : model_(model),
      parts_(selection.parts),
      channel_(selection.channels),
      floats_(floats),
      layer_(0),
      row_size_(0),
      weights_(0),
      numbers_(0),
      row_channel_(nullptr),
      bias_channel_(nullptr),
      place_(0) {
  Enter();
}

// Skips layers that train nothing.
void Units::Enter() {
  for (; layer_ < model_.layer_count(); ++layer_) {
    const Part part = PartOf(parts_, model_.layer(layer_), layer_);
    if (part.numbers() == 0) continue;
    place_ = 0;
    row_size_ = part.row_size();
    weights_ = part.weights();
    numbers_ = part.numbers();
    row_channel_ = part.by_input() ? nullptr : channel_;
    bias_channel_ = part.every_bias() ? nullptr : channel_;
    channel_ += part.count();
    return;
  }
}

Unit Units::Next() {
  Unit unit = {0.0f, 0.0f, floats_};
  if (floats_ > 0) {
    floats_ = 0;
    return unit;
  }
  const format::Layer& layer = model_.layer(layer_);
  unit.count = numbers_;
  if (IsInt8(layer)) {
    const bool is_bias = place_ >= weights_;
    const uint32_t i = is_bias ? place_ - weights_ : place_ / row_size_;
    const uint16_t* channels = is_bias ? bias_channel_ : row_channel_;
    unit.step = model_.scales(layer)[channels == nullptr ? i : channels[i]];
    unit.limit = kLargestWeight;
    unit.count = row_size_;
    if (is_bias) {
      unit.step *= model_.tensor(model_.operation(layer.operation).input).scale;
      unit.limit = BiasLimit(model_, layer);
      unit.count = 1;
    }
  }
  place_ += unit.count;
  if (place_ == numbers_) {
    ++layer_;
    Enter();
  }
  return unit;
}

Status Stepper::Step(float learning_rate, uint32_t examples, const Units& units,
                     const TrainedNumbers& numbers) {
  const float power1 = power1_ * kBeta1;
  const float power2 = power2_ * kBeta2;
  float rate = learning_rate;
  if (optimizer_ == Optimizer::kAdam) {
    rate *= std::sqrt(1.0f - power2) / (1.0f - power1);
  }
  const float share = 1.0f / static_cast<float>(examples);
  float* const moments = numbers.moments;
  float* const squares = moments + numbers.size;
  const bool has_moment = optimizer_ != Optimizer::kSgd;
  const bool has_square = optimizer_ == Optimizer::kAdam;
  bool finite = true;
  // Once to see whether all goes well, and then again to do it.
  for (int round = 0; round < 2 && finite; ++round) {
    Units unit_of = units;
    for (uint32_t i = 0; i < numbers.size;) {
      const Unit unit = unit_of.Next();
      for (const uint32_t end = i + unit.count; i < end; ++i) {
        const Number now = {numbers.values[i], has_moment ? moments[i] : 0.0f,
                            has_square ? squares[i] : 0.0f};
        const Number next =
            NextIn(unit, rate, numbers.gradient[i] * share, now);
        if (round == 0) {
          finite = finite && IsFinite(next.value) && IsFinite(next.moment) &&
                   IsFinite(next.square);
          continue;
        }
        numbers.values[i] = next.value;
        if (has_moment) moments[i] = next.moment;
        if (has_square) squares[i] = next.square;
      }
    }
  }
  for (uint32_t i = 0; i < numbers.size; ++i) numbers.gradient[i] = 0.0f;
  if (!finite) return Status::Error(Code::kNotFinite);
  power1_ = power1;
  power2_ = power2;
  return Status::Ok();
}

Stepper::Number Stepper::NextIn(const Unit& unit, float rate, float gradient,
                                const Number& now) const {
  const bool is_integer = unit.step != 0.0f;
  Number real = now;
  if (is_integer) {
    const float size = now.value < 0.0f ? -now.value : now.value;
    if (size >= unit.limit && now.value * gradient < 0.0f) gradient = 0.0f;
    real.value *= unit.step;
    gradient /= unit.step;
  }
  Number next = Next(rate, gradient, real);
  // The integer takes the difference: no step changes no bit.
  if (is_integer) {
    next.value = now.value + (next.value - real.value) / unit.step;
  }
  return next;
}

Stepper::Number Stepper::Next(float rate, float gradient,
                              const Number& now) const {
  Number next = now;
  switch (optimizer_) {
    case Optimizer::kSgd:
      next.value = MultiplyAdd(-rate, gradient, now.value);
      break;
    case Optimizer::kMomentum:
      next.moment = MultiplyAdd(now.moment, momentum_, -rate * gradient);
      next.value = now.value + next.moment;
      break;
    case Optimizer::kInPlace:  // Takes steps of its own.
      break;
    case Optimizer::kAdam:
      next.moment =
          MultiplyAdd(gradient - now.moment, kOneMinusBeta1, now.moment);
      next.square = MultiplyAdd(MultiplyAdd(gradient, gradient, -now.square),
                                kOneMinusBeta2, now.square);
      next.value =
          now.value - next.moment * rate / (std::sqrt(next.square) + kEpsilon);
      break;
  }
  return next;
}

}  // namespace tinytrain
