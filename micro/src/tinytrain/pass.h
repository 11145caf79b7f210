#ifndef TINYTRAIN_PASS_H_
#define TINYTRAIN_PASS_H_

#include <stdint.h>

#include "tinytrain/head.h"
#include "tinytrain/operation_kernels.h"
#include "tinytrain/parameters.h"
#include "tinytrain/random.h"
#include "tinytrain/schedule.h"
#include "tinytrain/work_memory.h"

namespace tinytrain {

// One sample on its way through a model and back, in the region `work`:
//   Forward, Compare, then Loss and Backward where something learns.
// With a counting memory it goes the same way, computes nothing and never
// looks at the sample or the parameters: so the planner knows what it takes.
class Pass {
 public:
  // All must outlive the pass. `parameters` is null if `memory` only counts.
  Pass(const Schedule& schedule, const Setup& setup,
       const Parameters* parameters, WorkMemory* memory);

  // Number of blocks that a pass needs.
  static uint32_t BlockCount(const Model& model);

  // Computes the embedding of `sample`, which has the shape of tensor 0. Of a
  // setup with the sample in `work` it is already there, at the end.
  void Forward(const void* sample);
  const float* embedding() const { return vectors_.embedding; }

  // Computes the logits, `classes` of them.
  void Compare();
  const float* logits() const { return vectors_.logits; }

  // Returns the loss and prepares its gradient.
  float Loss(uint32_t label);

  // Sends the gradient back: adds to that of the parameters, or to the scores.
  // In place it takes steps of `rate`, rounded with `random`, which is null of
  // a pass that only counts. Returns whether all gradients were finite; behind
  // those that were not it has taken its steps.
  bool Backward(float rate, Random* random);

  // Gives up what `Forward` keeps. The last call of a pass without gradient.
  void EndForward();

 private:
  // Numbers of the blocks.
  uint32_t ValueBlock(uint32_t tensor) const { return tensor; }
  uint32_t GradientBlock(uint32_t tensor) const {
    return model_.tensor_count() + tensor;
  }
  uint32_t KeptBlock(uint32_t operation) const {
    return 2 * model_.tensor_count() + operation;
  }
  uint32_t HeadBlock() const { return 3 * model_.tensor_count() - 1; }
  uint32_t ScratchBlock() const { return 3 * model_.tensor_count(); }

  uint64_t ValueBytes(uint32_t tensor) const;
  uint64_t GradientBytes(uint32_t tensor) const;
  uint64_t KeptBytes(uint32_t operation) const;
  uint32_t features() const { return model_.tensor_count() - 1; }

  // Whether a value is a block, not the caller's.
  bool IsBlock(uint32_t tensor) const { return tensor != 0 || sample_in_work_; }
  const void* Value(uint32_t tensor) const;
  float* Gradient(uint32_t tensor) const;
  uint8_t* Mask(uint32_t operation) const;
  void* KeptInputs(uint32_t operation) const;
  Operands OperandsOf(uint32_t operation) const;
  uint64_t PatchBytes(uint32_t operation, uint32_t size) const;

  void ForwardOperation(uint32_t i);
  void ForwardStreamed(uint32_t i, uint32_t count);
  void ReleaseInputs(uint32_t i, uint32_t reused);
  void HeadBackward();
  void BackwardOperation(uint32_t i);
  void BackwardActivation(uint32_t i);
  void ReleaseMask(uint32_t i);
  void Scale(uint32_t tensor, float factor);
  void Learn(uint32_t i);
  bool StepsLate(uint32_t i) const;
  bool ReusesGradient(uint32_t i) const;
  const void* Learned(uint32_t i, Window* window) const;
  Channels TrainedRows(uint32_t i) const;
  void Step(uint32_t i);
  void StepRows(uint32_t i);
  void StepBiases(uint32_t i);
  void AddGradients(uint32_t i);
  void AddScores(uint32_t i);
  void ScoreByOutput(uint32_t i, float* scores);
  void ScoreByInput(uint32_t i, float* scores);
  void ReleaseKept(uint32_t i);
  void Propagate(uint32_t i);
  void PropagateInPlace(uint32_t i);
  void PropagateOver(uint32_t i);
  void HandOver(uint32_t i, const uint32_t* inputs, uint32_t count);
  void ReleaseGradient(uint32_t tensor);

  const Schedule& schedule_;
  const Model& model_;
  const Parameters* const parameters_;
  WorkMemory* const memory_;
  const Head head_;
  const bool in_place_;
  const bool sample_in_work_;
  float rate_;
  Random* random_;
  bool is_finite_;
  const void* sample_;
  HeadVectors vectors_;  // Inside the head's block.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_PASS_H_
