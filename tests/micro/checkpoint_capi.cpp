// Checkpoints for ctypes.

#include <stdio.h>
#include <string.h>

#include "power_cut.h"
#include "tinytrain/checkpoint.h"
#include "tinytrain/file_storage.h"
#include "tinytrain/ram_storage.h"

namespace {

using tinytrain::Checkpoint;
using tinytrain::Model;
using tinytrain::Status;
using tinytrain::Storage;
using tinytrain::Trained;
using tinytrain::TrainedLayer;

// Where the slots lie; `memory` holds both, unless they are in a file.
struct Place {
  uint8_t* memory;
  const char* file;  // Null for memory.
  uint32_t slot_bytes;
  uint32_t page_bytes;  // 0 but for flash.
  uint32_t write_bytes;
  uint64_t power;       // Bytes that may change; what is left afterwards.
  uint32_t is_misused;  // Whether a write was none that flash can do.
};

// Storage for the time of a call.
class Slots {
 public:
  explicit Slots(Place* place) : place_(place), file_() {
    const Power power = {place->power};
    powered_.power = power;
    ram_.slots[0] = place->memory;
    ram_.slots[1] = place->memory + place->slot_bytes;
    if (place->file != nullptr) {
      file_.file = fopen(place->file, "r+b");
      file_.slot_bytes = place->slot_bytes;
      setvbuf(file_.file, nullptr, _IONBF, 0);
      powered_.inner = FileStorage(&file_);
    } else {
      powered_.inner = RamStorage(&ram_, place->slot_bytes);
    }
    const FlashPages flash = {place->memory,
                              place->slot_bytes,
                              place->page_bytes,
                              place->write_bytes,
                              power,
                              false};
    flash_ = flash;
    storage_ = place->page_bytes > 0 ? flash_.storage() : powered_.storage();
  }

  ~Slots() {
    if (file_.file != nullptr) fclose(file_.file);
    const bool is_flash = place_->page_bytes > 0;
    place_->power = is_flash ? flash_.power.left : powered_.power.left;
    place_->is_misused = flash_.is_misused;
  }

  const Storage& storage() const { return storage_; }

 private:
  Place* place_;
  tinytrain::RamSlots ram_;
  tinytrain::FileSlots file_;
  PoweredStorage powered_;
  FlashPages flash_;
  Storage storage_;
};

void Tell(const Status& status, int64_t* numbers) {
  numbers[0] = static_cast<int64_t>(status.code);
  numbers[1] = status.requested;
  numbers[2] = status.available;
  numbers[3] = status.missing;
}

}  // namespace

extern "C" {

uint64_t checkpoint_bytes(const void* blob, size_t size,
                          const Trained* trained) {
  Model model;
  model.Open(blob, size);
  return CheckpointBytes(model, *trained);
}

void checkpoint_save(const void* blob, size_t size, Place* place,
                     const Trained* trained, int64_t* status) {
  Model model;
  model.Open(blob, size);
  const Slots slots(place);
  Tell(SaveCheckpoint(model, *trained, slots.storage()), status);
}

// Writes sequence, layers and classes, then row, channels and kind of each.
void checkpoint_open(const void* blob, size_t size, Place* place,
                     uint32_t* numbers, int64_t* status) {
  Model model;
  model.Open(blob, size);
  const Slots slots(place);
  Checkpoint checkpoint;
  const Status opened = checkpoint.Open(model, slots.storage());
  Tell(opened, status);
  if (opened.ok() != checkpoint.is_open()) numbers[0] = 0xDEAD;
  if (!opened.ok()) return;
  *numbers++ = checkpoint.sequence();
  *numbers++ = checkpoint.layer_count();
  *numbers++ = checkpoint.way();
  for (uint32_t i = 0; i < checkpoint.layer_count(); ++i) {
    TrainedLayer layer;
    checkpoint.ReadLayer(i, &layer);
    *numbers++ = layer.row;
    *numbers++ = static_cast<uint32_t>(layer.channels.count);
    *numbers++ = layer.kind;
  }
}

void checkpoint_channels(const void* blob, size_t size, Place* place,
                         uint32_t layer, uint16_t* channels) {
  Model model;
  model.Open(blob, size);
  const Slots slots(place);
  Checkpoint checkpoint;
  checkpoint.Open(model, slots.storage());
  checkpoint.ReadChannels(layer, channels);
}

void checkpoint_read(const void* blob, size_t size, Place* place,
                     const Trained* trained, int64_t* status) {
  Model model;
  model.Open(blob, size);
  const Slots slots(place);
  Checkpoint checkpoint;
  checkpoint.Open(model, slots.storage());
  Tell(checkpoint.Read(*trained), status);
}

}  // extern "C"
