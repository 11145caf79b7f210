#ifndef TINYTRAIN_BLOB_PLAN_H_
#define TINYTRAIN_BLOB_PLAN_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/planner.h"
#include "tinytrain/status.h"

namespace tinytrain {

// Bytes that `ReadPlan` takes.
uint64_t BlobPlanBytes(const Model& model);

// Reads the plan that the host wrote into the blob, for `Trainer::Plan`. It
// lies in `work`, a multiple of `kAlignment`, until the next call that uses it.
// Refuses, and leaves `*selection` as it is:
//   kRegionTooSmall          `work`, in bytes
//   kMisaligned              `work`
//   kWrongState              there is no plan: the device selects
Status ReadPlan(const Model& model, void* work, size_t work_bytes,
                Selection* selection);

}  // namespace tinytrain

#endif  // TINYTRAIN_BLOB_PLAN_H_
