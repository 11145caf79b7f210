// How a trainer makes class vectors of what it is shown.

#include <string.h>

#include "tinytrain/class_vectors.h"
#include "tinytrain/finite.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/trainer.h"

namespace tinytrain {

// Whether there is a plan, at whatever stage.
bool Trainer::Trains() const {
  return state_ == State::kTraining || state_ == State::kRevisiting ||
         state_ == State::kSettled;
}

Status Trainer::Observe(const void* sample, uint32_t label) {
  const bool scoring = state_ == State::kScoring && examples_ == 0;
  const bool training = state_ == State::kTraining && !trained_;
  if (!scoring && !training) return Status::Error(Code::kWrongState);
  const Status status = AddEmbedding(sample, label, parameters_.class_vectors(),
                                     vectors_ != Vectors::kSums);
  if (!status.ok()) return status;
  vectors_ = Vectors::kSums;
  before_ = HeldOut();
  return status;
}

Status Trainer::Revisit(const void* sample, uint32_t label) {
  const bool first = state_ == State::kTraining && examples_ == 0 &&
                     vectors_ != Vectors::kNone;
  const bool keeps =
      setup_.optimizer == Optimizer::kInPlace && parameters_.head_trains();
  if (keeps || (!first && state_ != State::kRevisiting)) {
    return Status::Error(Code::kWrongState);
  }
  // Between two steps the gradient of a linear head is 0, and free.
  float* const gradient = parameters_.d_class_vectors();
  float* const sums =
      gradient != nullptr ? gradient : parameters_.class_vectors();
  const Status status = AddEmbedding(sample, label, sums, first);
  if (!status.ok()) return status;
  if (first && gradient != nullptr) SetVectors();
  state_ = State::kRevisiting;
  return status;
}

Status Trainer::Settle() {
  if (state_ != State::kRevisiting) return Status::Error(Code::kWrongState);
  const format::Head& head = model_->head();
  if (parameters_.d_class_vectors() != nullptr) {
    MoveToMeans(setup_.classes, head.depth, head.vector_length,
                parameters_.d_class_vectors(), parameters_.class_vectors());
  } else {
    SetLengths(setup_.classes, head.depth, head.vector_length,
               parameters_.class_vectors());
  }
  vectors_ = Vectors::kSet;
  state_ = State::kSettled;
  after_ = HeldOut();
  return Status::Ok();
}

// Adds the embedding of a sample to that of its class, `first` in zeros.
Status Trainer::AddEmbedding(const void* sample, uint32_t label, float* sums,
                             bool first) {
  const Status status = CheckExample(sample, label);
  if (!status.ok()) return status;
  const Schedule schedule(*model_, Purpose::kPredict, parameters_.parts());
  WorkMemory memory = Memory();
  Pass pass(schedule, setup_, &parameters_, &memory);
  pass.Forward(sample);
  const uint32_t depth = model_->head().depth;
  if (!AllFinite(pass.embedding(), depth)) {
    return Status::Error(Code::kNotFinite);
  }
  if (first) {
    memset(sums, 0, parameters_.class_vectors_size() * sizeof(float));
  }
  Add(pass.embedding(), static_cast<int>(depth), sums + label * depth);
  return Status::Ok();
}

// Turns sums of embeddings into class vectors.
Status Trainer::SetVectors() {
  if (vectors_ == Vectors::kNone) return Status::Error(Code::kWrongState);
  if (vectors_ == Vectors::kSums) {
    SetLengths(setup_.classes, model_->head().depth,
               model_->head().vector_length, parameters_.class_vectors());
  }
  vectors_ = Vectors::kSet;
  return Status::Ok();
}

}  // namespace tinytrain
