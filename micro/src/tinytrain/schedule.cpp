#include "tinytrain/schedule.h"

#include <string.h>

namespace tinytrain {

using format::Activation;
using format::kAbsent;
using format::Kind;
using format::Operation;

namespace {

// Operations that need no other memory for their output than their input's.
bool WorksInPlace(Kind kind) {
  return kind == Kind::kAdd || kind == Kind::kActivation ||
         kind == Kind::kRescale;
}

// Numbers of a tensor from which on its rows are streamed.
const uint32_t kStreamedSize = 32768;

bool HasWeights(const Operation& op) { return op.layer != kAbsent; }

// Whether a depthwise layer in int8 may write over what it reads.
bool SlidesInPlace(const Model& model, const Operation& op) {
  const format::Tensor& in = model.tensor(op.input);
  const format::Tensor& out = model.tensor(op.output);
  return op.kind == Kind::kDepthwiseConv2D && in.type == format::kInt8 &&
         op.stride_down == 1 && op.stride_across == 1 &&
         in.height == out.height && in.width == out.width;
}

}  // namespace

Schedule::Schedule(const Model& model, Purpose purpose, const Parts& parts)
    : model_(model), purpose_(purpose), parts_(parts) {
  memset(passes_, 0, sizeof(passes_));
  for (uint32_t i = 0; i < model.operation_count(); ++i) {
    const Operation& op = model.operation(i);
    if (Learns(i) || Passes(op.input) ||
        (op.second != kAbsent && Passes(op.second))) {
      passes_[op.output / 32] |= 1u << op.output % 32;
    }
  }
}

bool Schedule::Learns(uint32_t operation) const {
  const uint32_t layer = model_.operation(operation).layer;
  if (layer == kAbsent || purpose_ == Purpose::kPredict) return false;
  if (purpose_ == Purpose::kTrain) return part(operation).numbers() > 0;
  return (model_.layer(layer).flags & format::kCandidate) != 0;
}

Part Schedule::part(uint32_t operation) const {
  const uint32_t layer = model_.operation(operation).layer;
  return PartOf(parts_, model_.layer(layer), layer);
}

bool Schedule::Patches(uint32_t operation) const {
  return purpose_ != Purpose::kScore &&
         HasWeights(model_.operation(operation)) &&
         part(operation).some_inputs();
}

bool Schedule::ScoresByOutput(uint32_t operation) const {
  const Operation& op = model_.operation(operation);
  // Stored outputs are rounded, the sum is not.
  if (model_.tensor(op.input).type == format::kInt8) return false;
  return model_.tensor(op.output).size() <= model_.tensor(op.input).size();
}

bool Schedule::Reads(uint32_t operation, uint32_t tensor) const {
  const Operation& op = model_.operation(operation);
  return op.input == tensor || op.second == tensor;
}

bool Schedule::IsReadBetween(uint32_t tensor, uint32_t begin,
                             uint32_t end) const {
  for (uint32_t i = begin; i < end; ++i) {
    if (Reads(i, tensor)) return true;
  }
  return false;
}

uint32_t Schedule::LastReader(uint32_t tensor) const {
  const uint32_t count = model_.operation_count();
  for (uint32_t i = count; i-- > 0;) {
    if (Reads(i, tensor)) return i;
  }
  return count;
}

uint32_t Schedule::KeptUntil(uint32_t tensor) const {
  if (purpose_ == Purpose::kPredict) return kAbsent;
  const bool scores = purpose_ == Purpose::kScore;
  // Operation i writes tensor i + 1, and all its readers come later.
  if (scores && tensor > 0 && Learns(tensor - 1) &&
      ScoresByOutput(tensor - 1)) {
    return tensor - 1;
  }
  for (uint32_t i = tensor; i < model_.operation_count(); ++i) {
    if (model_.operation(i).input != tensor || !Learns(i)) continue;
    // Biases learn from no input.
    const bool reads =
        scores ? !ScoresByOutput(i) : part(i).weights() > 0 && !KeepsInputs(i);
    if (reads) return i;
  }
  return kAbsent;
}

bool Schedule::Streams(uint32_t operation) const {
  const uint32_t next = operation + 1;
  if (next >= model_.operation_count()) return false;
  const Operation& op = model_.operation(operation);
  const Operation& reader = model_.operation(next);
  const format::Tensor& tensor = model_.tensor(op.output);
  return op.kind == Kind::kConv2D && !Patches(operation) &&
         tensor.type == format::kInt8 && tensor.size() >= kStreamedSize &&
         reader.kind == Kind::kDepthwiseConv2D && reader.input == op.output &&
         LastReader(op.output) == next && !Passes(reader.output);
}

uint32_t Schedule::StreamLength(uint32_t operation) const {
  if (!Streams(operation)) return 1;
  const uint32_t last = operation + 2;
  if (last >= model_.operation_count()) return 2;
  const Operation& op = model_.operation(last);
  const bool pointwise = op.kind == Kind::kConv2D && op.kernel_height == 1 &&
                         op.kernel_width == 1 && op.stride_down == 1 &&
                         op.stride_across == 1;
  return pointwise && op.input + 1 == op.output &&
                 LastReader(op.input) == last && !Passes(op.output) &&
                 !Patches(last)
             ? 3
             : 2;
}

bool Schedule::ReusesGradient(uint32_t operation) const {
  const Operation& op = model_.operation(operation);
  return SlidesInPlace(model_, op) && Passes(op.input) &&
         LastReader(op.input) == operation;
}

uint32_t Schedule::Reused(uint32_t operation) const {
  const Operation& op = model_.operation(operation);
  if (!WorksInPlace(op.kind) && !SlidesInPlace(model_, op)) return kAbsent;
  const uint32_t inputs[] = {op.input, op.second};
  for (uint32_t tensor : inputs) {
    // Tensor 0 is the caller's.
    if (tensor != kAbsent && tensor != 0 && LastReader(tensor) == operation &&
        KeptUntil(tensor) == kAbsent) {
      return tensor;
    }
  }
  return kAbsent;
}

bool Schedule::KeepsMask(uint32_t operation) const {
  const Operation& op = model_.operation(operation);
  const bool cuts = model_.tensor(op.output).type == format::kInt8 &&
                    (HasWeights(op) || op.kind == Kind::kAdd);
  return (cuts || op.activation != Activation::kNone) && Passes(op.output);
}

bool Schedule::KeepsTaps(uint32_t operation) const {
  const Operation& op = model_.operation(operation);
  return op.kind == Kind::kMaxPool && Passes(op.input);
}

bool Schedule::SharesGradient(uint32_t operation) const {
  const Operation& op = model_.operation(operation);
  if (op.kind != Kind::kAdd || op.input == op.second ||
      model_.tensor(op.output).type == format::kInt8 || !Passes(op.input) ||
      !Passes(op.second) || LastReader(op.input) != operation ||
      LastReader(op.second) != operation) {
    return false;
  }
  const uint32_t earlier = op.input < op.second ? op.input : op.second;
  const uint32_t later = op.input < op.second ? op.second : op.input;
  // Nothing writes to it before the backward pass of what made the later one
  // is through: no activation, no other reader of either.
  const Operation& maker = model_.operation(later - 1);
  return !WorksInPlace(maker.kind) && maker.activation == Activation::kNone &&
         !IsReadBetween(later, later, operation) &&
         !IsReadBetween(earlier, later - 1, operation);
}

bool Schedule::BorrowsGradient(uint32_t tensor) const {
  const uint32_t reader = LastReader(tensor);
  if (reader == model_.operation_count()) return false;
  const Operation& op = model_.operation(reader);
  return op.kind == Kind::kAdd &&
         tensor == (op.input < op.second ? op.second : op.input) &&
         SharesGradient(reader);
}

}  // namespace tinytrain
