// Any bytes, repaired as far as start and checksum, through `Model::Open`.
// `make fuzz` builds and runs it.

#include <stdint.h>
#include <string.h>

#include "block.h"
#include "fuzz/repair_blob.h"
#include "tinytrain/model.h"
#include "walk_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Block<uint8_t> bytes(size);
  if (size > 0) memcpy(bytes.get(), data, size);
  RepairBlob(bytes.get(), size);
  tinytrain::Model model;
  if (model.Open(bytes.get(), size).ok()) {
    volatile double sum = WalkModel(model);
    (void)sum;
  }
  return 0;
}
