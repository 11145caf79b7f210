#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/pass.h"

namespace tinytrain {

using format::Activation;
using format::kAbsent;
using format::Kind;
using format::Operation;

namespace {

// Adds what of a gradient is another one's.
void AddShare(float share, const float* gradient, int count, float* to) {
  if (share == 1.0f) {
    Add(gradient, count, to);
    return;
  }
  for (int k = 0; k < count; ++k) {
    to[k] = MultiplyAdd(gradient[k], share, to[k]);
  }
}

}  // namespace

bool Pass::Backward(float rate, Random* random) {
  rate_ = rate;
  random_ = random;
  HeadBackward();
  for (uint32_t i = model_.operation_count(); i-- > 0;) {
    // Below what learns there is no gradient, and nothing is kept.
    if (schedule_.Passes(model_.operation(i).output)) BackwardOperation(i);
  }
  return is_finite_;
}

void Pass::HeadBackward() {
  const bool passes = schedule_.Passes(features());
  if (passes) {
    memory_->Take(GradientBlock(features()), GradientBytes(features()), false);
  }
  if (!memory_->counts_only()) {
    vectors_ = head_.Part(memory_->At(HeadBlock()));
    float* d_features = passes ? Gradient(features()) : nullptr;
    if (passes) memset(d_features, 0, GradientBytes(features()));
    const bool trains = schedule_.purpose() == Purpose::kTrain;
    float* d_vectors = trains ? parameters_->d_class_vectors() : nullptr;
    if (in_place_ && parameters_->head_trains()) {
      d_vectors = parameters_->class_vectors();
    }
    head_.Backward(parameters_->class_vectors(), vectors_,
                   in_place_ ? -rate_ : 1.0f, d_vectors, d_features);
  }
  EndForward();
}

void Pass::BackwardOperation(uint32_t i) {
  const Operation& op = model_.operation(i);
  BackwardActivation(i);
  const bool keeps_inputs = schedule_.KeepsInputs(i);
  if (!keeps_inputs) ReleaseMask(i);
  if (op.layer != kAbsent && IsInt8(model_.layer(op.layer)) &&
      !memory_->counts_only()) {
    ScaleGradient(model_, op, Gradient(op.output));
  }
  const bool late = StepsLate(i);
  // The input gradient is that of the weights before the step.
  if (late) {
    Propagate(i);
    Step(i);
  } else if (schedule_.Learns(i)) {
    Learn(i);
  }
  if (keeps_inputs) memory_->Release(KeptBlock(i), KeptBytes(i));
  ReleaseKept(i);
  if (late) {
    ReleaseGradient(op.output);
  } else {
    Propagate(i);
  }
}

void Pass::BackwardActivation(uint32_t i) {
  const uint32_t output = model_.operation(i).output;
  if (!schedule_.KeepsMask(i) || memory_->counts_only()) return;
  ReluBackward(Mask(i), static_cast<int>(model_.tensor(output).size()),
               Gradient(output));
}

void Pass::ReleaseMask(uint32_t i) {
  if (schedule_.KeepsMask(i)) memory_->Release(KeptBlock(i), KeptBytes(i));
}

void Pass::Learn(uint32_t i) {
  if (schedule_.purpose() == Purpose::kScore) {
    AddScores(i);
  } else if (in_place_) {
    Step(i);
  } else if (!memory_->counts_only()) {
    AddGradients(i);
  }
}

// What the weights of an operation learn from, and its window.
const void* Pass::Learned(uint32_t i, Window* window) const {
  const Operation& op = model_.operation(i);
  *window = WindowOf(model_, op);
  if (!schedule_.KeepsInputs(i)) return Value(op.input);
  window->input.channels = static_cast<int>(schedule_.part(i).count());
  return KeptInputs(i);
}

// The channels whose rows train, or a part of them.
Channels Pass::TrainedRows(uint32_t i) const {
  const uint32_t layer = model_.operation(i).layer;
  const Part part = parameters_->part(layer);
  Channels rows = parameters_->channels(layer);
  if (part.by_input()) rows.index = nullptr;
  rows.count = static_cast<int>(part.rows());
  return rows;
}

void Pass::AddGradients(uint32_t i) {
  const Operation& op = model_.operation(i);
  const float* d_output = Gradient(op.output);
  if (schedule_.part(i).weights() > 0) {
    Window window;
    const void* input = Learned(i, &window);
    RunBackwardFilter(model_, op, window, input, d_output, TrainedRows(i),
                      parameters_->d_filter(op.layer));
  }
  BiasBackward(ShapeOf(model_.tensor(op.output)), d_output,
               parameters_->biased(op.layer), parameters_->d_bias(op.layer));
}

// Gives up the values whose last reader this was.
void Pass::ReleaseKept(uint32_t i) {
  const Operation& op = model_.operation(i);
  const uint32_t tensors[] = {op.input, op.output};
  for (uint32_t tensor : tensors) {
    if (IsBlock(tensor) && schedule_.KeptUntil(tensor) == i) {
      memory_->Release(ValueBlock(tensor), ValueBytes(tensor));
    }
  }
}

void Pass::Propagate(uint32_t i) {
  const Operation& op = model_.operation(i);
  if (op.kind == Kind::kAdd || op.kind == Kind::kActivation ||
      op.kind == Kind::kRescale || op.kind == Kind::kDequantize) {
    PropagateInPlace(i);
    return;
  }
  if (ReusesGradient(i)) {
    PropagateOver(i);
    return;
  }
  if (schedule_.Passes(op.input)) {
    uint64_t scratch = BackwardScratchBytes(model_, op);
    if (op.layer != kAbsent) {
      // Of each channel they read the weights of all filters.
      const Window window = WindowOf(model_, op);
      scratch += PatchBytes(
          i, static_cast<uint32_t>(window.taps() * window.output.channels));
    }
    const bool first = schedule_.LastReader(op.input) == i;
    if (first) {
      memory_->Take(GradientBlock(op.input), GradientBytes(op.input), false);
    }
    if (scratch > 0) memory_->Take(ScratchBlock(), scratch, false);
    if (!memory_->counts_only()) {
      float* d_input = Gradient(op.input);
      if (first) memset(d_input, 0, GradientBytes(op.input));
      Operands operands = OperandsOf(i);
      if (scratch > 0) {
        operands.GiveScratch(memory_->At(ScratchBlock()),
                             ReadsInt8(model_, op));
      }
      RunBackwardInput(model_, op, operands, Gradient(op.output), d_input);
    }
    if (scratch > 0) memory_->Release(ScratchBlock(), scratch);
    if (schedule_.KeepsTaps(i)) {
      memory_->Release(KeptBlock(i), KeptBytes(i));
    }
  }
  if (!StepsLate(i)) ReleaseGradient(op.output);
}

bool Pass::ReusesGradient(uint32_t i) const {
  return schedule_.ReusesGradient(i) && !StepsLate(i);
}

// Turns the gradient of the output into that of the input.
void Pass::PropagateOver(uint32_t i) {
  const Operation& op = model_.operation(i);
  const uint64_t scratch = BackwardInPlaceScratchBytes(model_, op);
  memory_->Take(ScratchBlock(), scratch, false);
  memory_->Rename(GradientBlock(op.output), GradientBlock(op.input));
  if (!memory_->counts_only()) {
    Operands operands = OperandsOf(i);
    operands.GiveScratch(memory_->At(ScratchBlock()), true);
    RunBackwardInPlace(model_, op, operands, Gradient(op.input));
  }
  memory_->Release(ScratchBlock(), scratch);
}

// Of operations that hand the gradient on, with a factor at most.
void Pass::PropagateInPlace(uint32_t i) {
  const Operation& op = model_.operation(i);
  const bool twice = op.second == op.input;
  if (twice && !memory_->counts_only()) Scale(op.output, 2.0f);
  const uint32_t inputs[] = {op.input, op.second};
  HandOver(i, inputs, op.second == kAbsent || twice ? 1 : 2);
}

// Multiplies a gradient.
void Pass::Scale(uint32_t tensor, float factor) {
  if (factor == 1.0f) return;
  float* gradient = Gradient(tensor);
  const uint32_t count = model_.tensor(tensor).size();
  for (uint32_t k = 0; k < count; ++k) gradient[k] *= factor;
}

// Adds the gradient to those inputs' that are there already, and turns it into
// that of the others.
void Pass::HandOver(uint32_t i, const uint32_t* inputs, uint32_t count) {
  const Operation& op = model_.operation(i);
  const uint32_t output = op.output;
  uint32_t heirs[2];
  uint32_t heir_count = 0;
  for (uint32_t k = 0; k < count; ++k) {
    if (!schedule_.Passes(inputs[k])) continue;
    if (schedule_.LastReader(inputs[k]) == i) {
      heirs[heir_count++] = inputs[k];
    } else if (!memory_->counts_only()) {
      AddShare(GradientShare(model_, op, inputs[k]), Gradient(output),
               static_cast<int>(model_.tensor(output).size()),
               Gradient(inputs[k]));
    }
  }
  if (heir_count == 0) {
    ReleaseGradient(output);
    return;
  }
  uint32_t heir = heirs[0];
  if (heir_count == 2) {
    heir = heirs[0] < heirs[1] ? heirs[0] : heirs[1];
    const uint32_t later = heirs[0] < heirs[1] ? heirs[1] : heirs[0];
    if (schedule_.SharesGradient(i)) {
      memory_->Borrow(GradientBlock(later), GradientBlock(heir));
    } else {
      memory_->Take(GradientBlock(later), GradientBytes(later), false);
      if (!memory_->counts_only()) {
        memcpy(Gradient(later), Gradient(output), GradientBytes(later));
        Scale(later, GradientShare(model_, op, later));
      }
    }
  }
  memory_->Rename(GradientBlock(output), GradientBlock(heir));
  if (!memory_->counts_only()) Scale(heir, GradientShare(model_, op, heir));
}

void Pass::ReleaseGradient(uint32_t tensor) {
  if (schedule_.BorrowsGradient(tensor)) return;
  memory_->Release(GradientBlock(tensor), GradientBytes(tensor));
}

}  // namespace tinytrain
