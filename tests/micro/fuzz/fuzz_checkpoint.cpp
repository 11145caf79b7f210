// Any bytes as the two slots of a model, with right starts and checksums so
// that the checks behind them are reached, through `Checkpoint::Open`; what it
// accepts is read, saved and read again. `make fuzz` builds and runs it, with
// KERAS_TINYTRAIN_BLOB naming block.ttnb of the seeds.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinytrain/crc32.h"
#include "walk_checkpoint.h"

namespace {

const tinytrain::Model& OpenModel() {
  alignas(16) static uint8_t blob[1 << 16];
  static tinytrain::Model model;
  if (model.is_open()) return model;
  FILE* file = fopen(getenv("KERAS_TINYTRAIN_BLOB"), "rb");
  if (file == nullptr) abort();
  const size_t size = fread(blob, 1, sizeof(blob), file);
  fclose(file);
  Expect(model.Open(blob, size).ok());
  return model;
}

// Gives a slot what every checkpoint of the model begins with.
void Repair(const tinytrain::Model& model, uint8_t* slot, uint32_t size) {
  using namespace tinytrain::format;
  CheckpointHeader header;
  if (size < sizeof(header)) return;
  memcpy(&header, slot, sizeof(header));
  header.magic = kCheckpointMagic;
  header.byte_order = kByteOrder;
  header.major = kMajorVersion;
  if (header.size > size) header.size = size;
  header.base.low = static_cast<uint32_t>(model.base());
  header.base.high = static_cast<uint32_t>(model.base() >> 32);
  memcpy(slot, &header, sizeof(header));
  if (header.size < sizeof(header)) return;
  header.crc = tinytrain::FileCrc(slot, header.size);
  memcpy(slot, &header, sizeof(header));
}

}  // namespace

// A reserved byte of the header says whether the bytes are one slot or two, and
// which of them are repaired.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const tinytrain::Model& model = OpenModel();
  const size_t place = offsetof(tinytrain::format::CheckpointHeader, reserved);
  const uint8_t how = size > place ? data[place] : 0;
  const uint32_t bytes = static_cast<uint32_t>(how & 1 ? size / 2 : size);
  Block<uint8_t> first(bytes);
  Block<uint8_t> second(bytes);
  if (bytes > 0) memcpy(first.get(), data, bytes);
  if (how & 1 && bytes > 0) memcpy(second.get(), data + bytes, bytes);
  if (!(how & 2)) Repair(model, first.get(), bytes);
  if (how & 4) Repair(model, second.get(), bytes);
  tinytrain::RamSlots slots = {{first.get(), second.get()}};
  const tinytrain::Storage storage = RamStorage(&slots, bytes);
  tinytrain::Checkpoint checkpoint;
  if (checkpoint.Open(model, storage).ok()) WalkCheckpoint(model, checkpoint);
  return 0;
}
