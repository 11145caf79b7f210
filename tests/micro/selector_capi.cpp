// The selector for ctypes.

#include <string.h>

#include "tinytrain/arena.h"
#include "tinytrain/heap_sort.h"
#include "tinytrain/selector.h"

using tinytrain::Model;
using tinytrain::Setup;

namespace {

struct ByKey {
  const uint32_t* keys;
  bool operator()(uint16_t a, uint16_t b) const {
    return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
  }
};

}  // namespace

extern "C" {

uint64_t selector_bytes(const void* blob, size_t size) {
  Model model;
  model.Open(blob, size);
  return tinytrain::SelectorBytes(model);
}

// Writes code, requested, available and missing, then counts and channels, both
// as they lie in `work`.
void selector_select(const void* blob, size_t size, uint32_t classes,
                     uint32_t optimizer, const float* scores, void* work,
                     size_t work_bytes, int64_t* status, uint16_t* counts,
                     uint16_t* channels) {
  Model model;
  model.Open(blob, size);
  const Setup setup = {static_cast<uint16_t>(classes),
                       static_cast<tinytrain::Optimizer>(optimizer), false};
  tinytrain::Selection selection = {{nullptr, nullptr}, nullptr};
  const tinytrain::Status s =
      tinytrain::Select(model, setup, scores, work, work_bytes, &selection);
  status[0] = static_cast<int64_t>(s.code);
  status[1] = s.requested;
  status[2] = s.available;
  status[3] = s.missing;
  if (!s.ok()) {
    if (selection.parts.counts != nullptr) status[0] = 1;
    return;
  }
  size_t total = 0;
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    counts[i] = selection.parts.counts[i];
    total += counts[i];
  }
  memcpy(channels, selection.channels, total * sizeof(*channels));
  if (!CheckSelection(model, selection).ok()) status[0] = 2;
}

void selector_sort(uint16_t* numbers, uint32_t count, const uint32_t* keys) {
  const ByKey by_key = {keys};
  tinytrain::HeapSort(numbers, count, by_key);
}

}  // extern "C"
