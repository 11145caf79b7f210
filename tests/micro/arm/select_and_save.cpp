// Reads a blob and scores from the file CASE of the host: the number of bytes
// of the blob, the blob, the scores. Prints what is selected, a line a layer,
// then the checksum of a checkpoint of that with counting numbers.

#include <stdio.h>

#include "power_cut.h"
#include "tinytrain/checkpoint.h"
#include "tinytrain/crc32.h"
#include "tinytrain/selector.h"

using namespace tinytrain;  // NOLINT: a program.

namespace {

alignas(16) uint8_t blob[1 << 20];
float scores[1 << 14];
alignas(16) uint8_t work[1 << 16];
float numbers[1 << 16];
TrainedLayer layers[64];
uint8_t pages[1 << 19];

int Fail(const char* what, Status status) {
  printf("%s: %d\n", what, static_cast<int>(status.code));
  return 1;
}

// Saves counting numbers in place of what is trained.
Status Save(const Model& model, const Selection& selection) {
  for (uint32_t i = 0; i < sizeof(numbers) / sizeof(*numbers); ++i) {
    numbers[i] = static_cast<float>(i);
  }
  uint32_t count = 0;
  const uint16_t* channels = selection.channels;
  for (uint32_t row = 0; row < model.layer_count(); ++row) {
    const uint16_t trained = selection.parts.counts[row];
    if (trained == 0) continue;
    const TrainedLayer layer = {static_cast<uint16_t>(row),
                                0,
                                {channels, trained},
                                numbers,
                                numbers,
                                nullptr,
                                nullptr};
    layers[count++] = layer;
    channels += trained;
  }
  const Trained trained = {layers, count, numbers, 2};
  FlashPages flash = {pages, sizeof(pages) / 2, 4096, 8, {UINT64_MAX}, false};
  for (uint8_t& byte : pages) byte = 0xFF;
  const Storage storage = flash.storage();
  const Status status = SaveCheckpoint(model, trained, storage);
  if (!status.ok()) return status;
  const uint64_t bytes = CheckpointBytes(model, trained);
  printf("checkpoint %lu %lu\n", static_cast<unsigned long>(bytes),
         static_cast<unsigned long>(Crc32(pages, bytes)));
  Checkpoint checkpoint;
  return checkpoint.Open(model, storage);
}

}  // namespace

int main() {
  FILE* file = fopen(CASE, "rb");
  uint32_t size = 0;
  if (file == nullptr || fread(&size, sizeof(size), 1, file) != 1 ||
      size > sizeof(blob) || fread(blob, 1, size, file) != size) {
    return Fail("case", Status::Error(Code::kBadArgument));
  }
  fread(scores, sizeof(*scores), sizeof(scores) / sizeof(*scores), file);
  Model model;
  Status status = model.Open(blob, size).status();
  if (!status.ok()) return Fail("blob", status);
  const Setup setup = {3, Optimizer::kAdam, false};
  Selection selection;
  status = Select(model, setup, scores, work, sizeof(work), &selection);
  if (!status.ok()) return Fail("select", status);
  const uint16_t* channel = selection.channels;
  for (uint32_t row = 0; row < model.layer_count(); ++row) {
    if (selection.parts.counts[row] == 0) continue;
    printf("%s", model.name(model.layer(row).name));
    for (uint16_t i = 0; i < selection.parts.counts[row]; ++i) {
      printf(" %u", *channel++);
    }
    printf("\n");
  }
  status = Save(model, selection);
  return status.ok() ? 0 : Fail("save", status);
}
