// How a training that has made things worse is undone.

#include <cmath>

#include "tinytrain/trainer.h"

namespace tinytrain {

Status Trainer::HoldOut(const void* sample, uint32_t label) {
  if (!Trains() || state_ == State::kRevisiting) {
    return Status::Error(Code::kWrongState);
  }
  const bool is_before = state_ == State::kTraining && !trained_;
  float loss = 0.0f;
  const Status status = Send(Purpose::kPredict, sample, label, &loss);
  // A training after which numbers overflow is the worst one.
  const bool overflows = !is_before && status.code == Code::kNotFinite;
  if (!status.ok() && !overflows) return status;
  HeldOut* const held_out = is_before ? &before_ : &after_;
  held_out->loss += overflows ? HUGE_VALF : loss;
  ++held_out->samples;
  return Status::Ok();
}

Status Trainer::Judge() {
  if (!Trains() || before_.samples == 0 || before_.samples != after_.samples) {
    return Status::Error(Code::kWrongState);
  }
  if (after_.loss <= before_.loss) return Status::Ok();
  parameters_.Restore();
  vectors_ = Vectors::kNone;
  StartTraining();
  return Status::Error(Code::kWorse);
}

}  // namespace tinytrain
