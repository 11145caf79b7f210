#include "tinytrain/ram_storage.h"

#include <string.h>

namespace tinytrain {
namespace {

uint8_t* At(void* context, uint32_t slot, uint32_t offset) {
  return static_cast<RamSlots*>(context)->slots[slot] + offset;
}

Status Read(void* context, uint32_t slot, uint32_t offset, void* bytes,
            uint32_t size) {
  memcpy(bytes, At(context, slot, offset), size);
  return Status::Ok();
}

Status Erase(void* context, uint32_t slot) {
  memset(At(context, slot, 0), 0, sizeof(uint32_t));
  return Status::Ok();
}

Status Write(void* context, uint32_t slot, uint32_t offset, const void* bytes,
             uint32_t size) {
  memcpy(At(context, slot, offset), bytes, size);
  return Status::Ok();
}

Status Sync(void*) { return Status::Ok(); }

}  // namespace

Storage RamStorage(RamSlots* slots, uint32_t slot_bytes) {
  const Storage storage = {slots, slot_bytes, 1, Read, Erase, Write, Sync};
  return storage;
}

}  // namespace tinytrain
