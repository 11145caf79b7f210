#ifndef TINYTRAIN_SCHEDULE_H_
#define TINYTRAIN_SCHEDULE_H_

#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/parts.h"

namespace tinytrain {

// What a sample is sent through a model for.
enum class Purpose : uint8_t {
  kPredict,
  kTrain,  // Gradients of what trains.
  kScore,  // Sums of activation times gradient of the candidates.
};

// Who needs what, and until when: of each tensor its readers, whether a
// gradient reaches it, and whether its value has to wait for the backward
// pass. Everything follows from the model and the layers that learn. Answers
// are searched for when asked, as they need no memory then.
class Schedule {
 public:
  // `parts` is what trains, or was trained; its counts may be null if `purpose`
  // is kScore. All must outlive the schedule.
  Schedule(const Model& model, Purpose purpose, const Parts& parts);

  const Model& model() const { return model_; }
  Purpose purpose() const { return purpose_; }

  // Whether the operation's weights learn, or its channels are scored.
  bool Learns(uint32_t operation) const;

  // What of an operation's weights trains.
  Part part(uint32_t operation) const;

  // Whether an operation with weights puts its rows together, in scratch
  // memory: some of its input channels are trained.
  bool Patches(uint32_t operation) const;

  // Whether it keeps the input channels alone that its weights learn from, not
  // the input.
  bool KeepsInputs(uint32_t operation) const {
    return purpose_ == Purpose::kTrain && Patches(operation);
  }

  // Whether a score is the sum over output times gradient. Otherwise it is the
  // same sum as weights times their gradients, from the input: whichever of
  // the two is smaller is kept.
  bool ScoresByOutput(uint32_t operation) const;

  // Whether the tensor depends on what learns: it has a gradient.
  bool Passes(uint32_t tensor) const {
    return (passes_[tensor / 32] >> tensor % 32 & 1) != 0;
  }

  // The last operation that reads a tensor, or their number for the features,
  // which the head reads.
  uint32_t LastReader(uint32_t tensor) const;

  // The operation whose backward pass is the last to need a tensor's value, or
  // kAbsent.
  uint32_t KeptUntil(uint32_t tensor) const;

  // The input whose memory the output takes over, or kAbsent.
  uint32_t Reused(uint32_t operation) const;

  // Whether the output of a convolution is never there as a whole: the
  // depthwise layer behind it, which alone reads it, asks for its rows. Of
  // large int8 tensors that nothing is learned from.
  bool Streams(uint32_t operation) const;
  // Operations that are computed together from one on: 1, of such a convolution
  // 2, or 3 with the pointwise layer that alone reads the depthwise output.
  uint32_t StreamLength(uint32_t operation) const;

  // Whether the gradient of a depthwise layer's output becomes that of its
  // input where it lies. In int8, whose layers work in place both ways.
  bool ReusesGradient(uint32_t operation) const;

  // Whether the operation keeps a bit of each output: where the gradient
  // passes, as neither activation nor int8 cut it off.
  bool KeepsMask(uint32_t operation) const;
  // Or which number of each window was the largest.
  bool KeepsTaps(uint32_t operation) const;

  // Whether the gradient of a sum serves as that of both summands at once, the
  // later of which only reads it. In int8 each summand has a share of its own.
  bool SharesGradient(uint32_t operation) const;
  // Whether a tensor's gradient is such a loan.
  bool BorrowsGradient(uint32_t tensor) const;

 private:
  bool Reads(uint32_t operation, uint32_t tensor) const;
  bool IsReadBetween(uint32_t tensor, uint32_t begin, uint32_t end) const;

  const Model& model_;
  const Purpose purpose_;
  const Parts parts_;
  uint32_t passes_[format::kMaxOperations / 32 + 1];  // A bit for each tensor.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_SCHEDULE_H_
