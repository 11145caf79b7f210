#ifndef TINYTRAIN_SELECTOR_H_
#define TINYTRAIN_SELECTOR_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/planner.h"
#include "tinytrain/status.h"

namespace tinytrain {

// Bytes that `Select` takes.
uint64_t SelectorBytes(const Model& model);

// Chooses layers and channels as `keras_tinytrain.select` does, channel for
// channel: by criterion, budgets and cost model of the blob, among its
// candidate layers. Under the arena model the budget limits
// `TrainingBytes(...).total()`.
//
// `scores` has one number for each channel of each candidate layer, in order;
// they are finite and not negative. `work`, a multiple of `kAlignment`, must
// not overlap them; it is read by nobody afterwards but through `*selection`,
// which lies at its beginning. Refuses, and leaves `*selection` as it is:
//   kRegionTooSmall          `work`, in bytes
//   kMisaligned              `work`
//   kBadArgument             a negative score, none of this model's setups, or
//                            no candidate may train under the criterion
//   kNotFinite               a score
//   kMemoryBudget            one channel takes more bytes than the budget
//   kMacsBudget              and so for MACs, of all that fit the memory
Status Select(const Model& model, const Setup& setup, const float* scores,
              void* work, size_t work_bytes, Selection* selection);

}  // namespace tinytrain

#endif  // TINYTRAIN_SELECTOR_H_
