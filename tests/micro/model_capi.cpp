// `Model` for ctypes.

#include "tinytrain/crc32.h"
#include "tinytrain/model.h"

using tinytrain::Model;

extern "C" {

// Writes flaw, record, expected and received; returns whether it is open.
int model_open(const void* bytes, size_t size, uint32_t* refusal) {
  Model model;
  const tinytrain::Refusal r = model.Open(bytes, size);
  refusal[0] = static_cast<uint32_t>(r.flaw);
  refusal[1] = r.record;
  refusal[2] = r.expected;
  refusal[3] = r.received;
  return model.is_open();
}

// Writes code, requested, available and missing.
void model_status(const void* bytes, size_t size, int32_t* status) {
  Model model;
  const tinytrain::Status s = model.Open(bytes, size).status();
  status[0] = static_cast<int32_t>(s.code);
  status[1] = static_cast<int32_t>(s.requested);
  status[2] = static_cast<int32_t>(s.available);
  status[3] = static_cast<int32_t>(s.missing);
}

// Writes counts of tensors, operations, layers and choices, and the base.
void model_counts(const void* bytes, size_t size, uint32_t* counts,
                  uint64_t* base) {
  Model model;
  model.Open(bytes, size);
  counts[0] = model.tensor_count();
  counts[1] = model.operation_count();
  counts[2] = model.layer_count();
  counts[3] = model.choice_count();
  *base = model.base();
}

// Returns where a record lies, by the section it is in.
const void* model_record(const void* bytes, size_t size, int section,
                         uint32_t i) {
  Model model;
  model.Open(bytes, size);
  switch (section) {
    case tinytrain::format::kNetworkSection:
      return &model.network();
    case tinytrain::format::kTensorSection:
      return &model.tensor(i);
    case tinytrain::format::kOperationSection:
      return &model.operation(i);
    case tinytrain::format::kLayerSection:
      return &model.layer(i);
    case tinytrain::format::kHeadSection:
      return &model.head();
    case tinytrain::format::kTrainingSection:
      return &model.training();
    case tinytrain::format::kPlanSection:
      return &model.choice(i);
    default:
      return nullptr;
  }
}

const float* model_weights(const void* bytes, size_t size, uint32_t layer,
                           int bias) {
  Model model;
  model.Open(bytes, size);
  return bias ? model.bias(model.layer(layer))
              : model.kernel(model.layer(layer));
}

const char* model_name(const void* bytes, size_t size, uint32_t offset) {
  Model model;
  model.Open(bytes, size);
  return model.name(offset);
}

const uint16_t* model_indices(const void* bytes, size_t size, uint32_t choice) {
  Model model;
  model.Open(bytes, size);
  return model.indices(model.choice(choice));
}

uint32_t crc32_in_parts(const void* bytes, size_t size, size_t split) {
  const char* data = static_cast<const char*>(bytes);
  const uint32_t crc = tinytrain::Crc32(data, split);
  return tinytrain::Crc32(data + split, size - split, crc);
}

}  // extern "C"
