#include "tinytrain/blob_plan.h"

#include <string.h>

#include "tinytrain/arena.h"

namespace tinytrain {

using format::Choice;

uint64_t BlobPlanBytes(const Model& model) {
  uint64_t numbers = model.layer_count();
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    numbers += model.choice(i).count;
  }
  return numbers * sizeof(uint16_t);
}

Status ReadPlan(const Model& model, void* work, size_t work_bytes,
                Selection* selection) {
  if (!model.has_plan()) return Status::Error(Code::kWrongState);
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    if (model.choice(i).flags != 0) return Status::Error(Code::kUnsupported);
  }
  Arena arena;
  const Status status = arena.Init(work, work_bytes);
  if (!status.ok()) return status;
  const uint64_t bytes = BlobPlanBytes(model);
  if (bytes > work_bytes) {
    return Status::TooSmall(static_cast<uint32_t>(bytes),
                            static_cast<uint32_t>(work_bytes));
  }
  uint16_t* const counts = static_cast<uint16_t*>(work);
  uint16_t* to = counts + model.layer_count();
  selection->counts = counts;
  selection->channels = to;
  memset(counts, 0, model.layer_count() * sizeof(uint16_t));
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    const Choice& choice = model.choice(i);
    counts[choice.layer] = static_cast<uint16_t>(choice.count);
    memcpy(to, model.indices(choice), choice.count * sizeof(uint16_t));
    to += choice.count;
  }
  return Status::Ok();
}

}  // namespace tinytrain
