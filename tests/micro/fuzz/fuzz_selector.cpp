// Any blob that opens, through `Select` and the planner that it asks: scores
// are bytes of the blob. And through `ReadPlan`, if it has a plan. `make fuzz`
// builds and runs it.

#include <stdint.h>
#include <string.h>

#include "block.h"
#include "fuzz/repair_blob.h"
#include "tinytrain/blob_plan.h"
#include "tinytrain/selector.h"

namespace {

// Beyond, one run takes too long.
const uint32_t kMostOperations = 32;
const uint64_t kMostBytes = 1 << 16;

// Of a selection: what it costs keeps to the budget.
void CheckCosts(const tinytrain::Model& model, const tinytrain::Setup& setup,
                const tinytrain::Selection& selection) {
  using tinytrain::format::CostModel;
  Expect(CheckSelection(model, selection).ok());
  uint32_t count = 0;
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    count += selection.parts.counts[i];
  }
  Expect(count > 0);
  if (model.training().cost_model == CostModel::kPaper) return;
  const tinytrain::Bytes bytes = TrainingBytes(model, setup, selection.parts);
  Expect(bytes.total() <= model.training().memory_bytes.value());
}

// Of a plan that can be read: it is one of this model.
void CheckPlan(const tinytrain::Model& model) {
  const uint64_t bytes = tinytrain::BlobPlanBytes(model);
  Block<uint64_t> work(bytes / sizeof(uint64_t) + 1);
  tinytrain::Selection selection;
  if (ReadPlan(model, work.get(), bytes, &selection).ok()) {
    Expect(CheckSelection(model, selection).ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Block<uint8_t> blob(size);
  if (size > 0) memcpy(blob.get(), data, size);
  RepairBlob(blob.get(), size);
  tinytrain::Model model;
  if (!model.Open(blob.get(), size).ok()) return 0;
  CheckPlan(model);
  const uint64_t bytes = tinytrain::SelectorBytes(model);
  if (model.operation_count() > kMostOperations || bytes > kMostBytes) {
    return 0;
  }
  Block<float> scores(bytes / sizeof(uint16_t));
  for (uint64_t i = 0; i < bytes / sizeof(uint16_t); ++i) {
    scores.get()[i] = data[i * 7 % size] * 0.125f;
  }
  Block<uint64_t> work(bytes / sizeof(uint64_t) + 1);
  const tinytrain::Setup setup = {2, tinytrain::Optimizer::kAdam, false};
  tinytrain::Selection selection;
  const tinytrain::Status status =
      Select(model, setup, scores.get(), work.get(), bytes, &selection);
  if (status.ok()) CheckCosts(model, setup, selection);
  return 0;
}
