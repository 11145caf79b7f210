#include "tinytrain/blob_plan.h"

#include <string.h>

#include "tinytrain/arena.h"

namespace tinytrain {

using format::Choice;

namespace {

bool HasKinds(const Model& model) {
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    if (model.choice(i).flags != 0) return true;
  }
  return false;
}

}  // namespace

uint64_t BlobPlanBytes(const Model& model) {
  uint64_t numbers = model.layer_count();
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    numbers += model.choice(i).count;
  }
  return numbers * sizeof(uint16_t) +
         (HasKinds(model) ? model.layer_count() : 0);
}

Status ReadPlan(const Model& model, void* work, size_t work_bytes,
                Selection* selection) {
  if (!model.has_plan()) return Status::Error(Code::kWrongState);
  Arena arena;
  const Status status = arena.Init(work, work_bytes);
  if (!status.ok()) return status;
  const uint64_t bytes = BlobPlanBytes(model);
  if (bytes > work_bytes) {
    return Status::TooSmall(static_cast<uint32_t>(bytes),
                            static_cast<uint32_t>(work_bytes));
  }
  const uint32_t layers = model.layer_count();
  uint16_t* const counts = static_cast<uint16_t*>(work);
  uint16_t* to = counts + layers;
  selection->parts.counts = counts;
  selection->parts.kinds = nullptr;
  selection->channels = to;
  memset(counts, 0, layers * sizeof(uint16_t));
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    const Choice& choice = model.choice(i);
    counts[choice.layer] = static_cast<uint16_t>(choice.count);
    memcpy(to, model.indices(choice), choice.count * sizeof(uint16_t));
    to += choice.count;
  }
  if (!HasKinds(model)) return Status::Ok();
  uint8_t* const kinds = reinterpret_cast<uint8_t*>(to);
  memset(kinds, 0, layers);
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    const Choice& choice = model.choice(i);
    kinds[choice.layer] = static_cast<uint8_t>(choice.flags);
  }
  selection->parts.kinds = kinds;
  return Status::Ok();
}

}  // namespace tinytrain
