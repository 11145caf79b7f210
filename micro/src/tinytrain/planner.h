#ifndef TINYTRAIN_PLANNER_H_
#define TINYTRAIN_PLANNER_H_

#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/parts.h"
#include "tinytrain/status.h"

// What training takes of the two regions, to the byte, before anything is
// placed. All that is here needs no memory but the stack and depends on
// nothing but its arguments. The sample itself (tensor 0) is read where the
// caller has it, in flash or RAM, and is no part of these bytes unless `Setup`
// says so.
//
// The memory of a plan of output channels is linear in these:
//   persistent + work = FixedBytes(layers that train)
//                       + sum over these of count x ChannelBytes(layer)
// and FixedBytes never shrinks when a layer is added.
namespace tinytrain {

enum class Optimizer : uint8_t {
  kSgd = 0,       // Keeps value and gradient of a trained number,
  kMomentum = 1,  // and a velocity,
  kAdam = 2,      // or two moments.
  // The value alone: SGD takes a step of each sample as soon as the gradient of
  // a layer is complete. Weights of int8 layers have no other value than the
  // stored one.
  kInPlace = 3,
};

// What else training is made of.
struct Setup {
  uint16_t classes;  // From 2 to `model.head().max_way`.
  Optimizer optimizer;
  // Whether a sample lies in `work`, see `Trainer::sample_place`, where its
  // memory is used again once it was read.
  bool sample_in_work;
};

// What trains of a model.
struct Selection {
  Parts parts;
  // Channels of all layers one behind the other, rising inside a layer.
  const uint16_t* channels;
};

// 64 bits hold the sums of whatever model there is.
struct Bytes {
  uint64_t persistent;
  uint64_t work;

  uint64_t total() const { return persistent + work; }
};

// Bytes of both regions for training `parts`, but for what is kept of these
// themselves. Takes time in the square of the number of operations.
uint64_t FixedBytes(const Model& model, const Setup& setup, const Parts& parts);

// Bytes of `persistent` that each trained output channel of a layer adds:
// value, gradient and moments of its weights and bias, and its place in the
// list.
uint64_t ChannelBytes(const Model& model, const Setup& setup, uint32_t layer);

// Bytes of training `parts`; they are enough for predictions too.
Bytes TrainingBytes(const Model& model, const Setup& setup, const Parts& parts);

// Bytes of scoring all candidate layers of the model.
Bytes ScoringBytes(const Model& model, const Setup& setup);

// Refuses a setup or a selection that is none of this model: kBadArgument.
Status CheckSetup(const Model& model, const Setup& setup);
Status CheckSelection(const Model& model, const Selection& selection);

// kOk, or kRegionTooSmall with the numbers of the first region that is.
Status CheckRegions(const Bytes& bytes, uint64_t persistent, uint64_t work);

}  // namespace tinytrain

#endif  // TINYTRAIN_PLANNER_H_
