#ifndef TESTS_MICRO_POWER_CUT_H_
#define TESTS_MICRO_POWER_CUT_H_

#include <stdint.h>

#include "tinytrain/storage.h"

// How many bytes may still be changed before the power fails.
struct Power {
  uint64_t left;

  // Whether one more byte may be changed.
  bool Take() {
    if (left == 0) return false;
    --left;
    return true;
  }
};

// RAM or a file whose power fails. An erase overwrites the magic, byte by byte.
struct PoweredStorage {
  tinytrain::Storage inner;
  Power power;

  static tinytrain::Status Read(void* context, uint32_t slot, uint32_t offset,
                                void* bytes, uint32_t size) {
    const PoweredStorage& self = *static_cast<PoweredStorage*>(context);
    return self.inner.read(self.inner.context, slot, offset, bytes, size);
  }

  static tinytrain::Status Erase(void* context, uint32_t slot) {
    PoweredStorage* self = static_cast<PoweredStorage*>(context);
    if (self->power.left < 4) return Write(context, slot, 0, "\0\0\0", 4);
    self->power.left -= 4;
    return self->inner.erase(self->inner.context, slot);
  }

  static tinytrain::Status Write(void* context, uint32_t slot, uint32_t offset,
                                 const void* bytes, uint32_t size) {
    PoweredStorage* self = static_cast<PoweredStorage*>(context);
    const uint8_t* data = static_cast<const uint8_t*>(bytes);
    for (uint32_t i = 0; i < size; ++i) {
      if (!self->power.Take()) {
        return tinytrain::Status::Error(tinytrain::Code::kStorage);
      }
      const tinytrain::Status status =
          self->inner.write(self->inner.context, slot, offset + i, data + i, 1);
      if (!status.ok()) return status;
    }
    return tinytrain::Status::Ok();
  }

  static tinytrain::Status Sync(void* context) {
    const PoweredStorage& self = *static_cast<PoweredStorage*>(context);
    return self.inner.sync(self.inner.context);
  }

  tinytrain::Storage storage() {
    const tinytrain::Storage storage = {
        this, inner.slot_bytes, 1, Read, Erase, Write, Sync};
    return storage;
  }
};

// Pages of flash: an erase sets all bits of a page, a write clears some of a
// unit that is still erased, at multiples of its size.
struct FlashPages {
  uint8_t* bytes;       // Both slots.
  uint32_t slot_bytes;  // A multiple of `page_bytes`.
  uint32_t page_bytes;
  uint32_t unit;
  Power power;
  bool is_misused;

  static tinytrain::Status Read(void* context, uint32_t slot, uint32_t offset,
                                void* bytes, uint32_t size) {
    const FlashPages& self = *static_cast<FlashPages*>(context);
    const uint8_t* from = self.bytes + slot * self.slot_bytes + offset;
    uint8_t* to = static_cast<uint8_t*>(bytes);
    for (uint32_t i = 0; i < size; ++i) to[i] = from[i];
    return tinytrain::Status::Ok();
  }

  static tinytrain::Status Erase(void* context, uint32_t slot) {
    FlashPages* self = static_cast<FlashPages*>(context);
    uint8_t* at = self->bytes + slot * self->slot_bytes;
    // From the last page to the first: the magic goes at the very end.
    for (uint32_t page = self->slot_bytes / self->page_bytes; page-- > 0;) {
      for (uint32_t i = 0; i < self->page_bytes; ++i) {
        if (!self->power.Take()) {
          return tinytrain::Status::Error(tinytrain::Code::kStorage);
        }
        at[page * self->page_bytes + i] = 0xFF;
      }
    }
    return tinytrain::Status::Ok();
  }

  static tinytrain::Status Write(void* context, uint32_t slot, uint32_t offset,
                                 const void* bytes, uint32_t size) {
    FlashPages* self = static_cast<FlashPages*>(context);
    if (offset % self->unit != 0 || size % self->unit != 0 ||
        offset + size > self->slot_bytes) {
      self->is_misused = true;
      return tinytrain::Status::Error(tinytrain::Code::kStorage);
    }
    uint8_t* at = self->bytes + slot * self->slot_bytes + offset;
    const uint8_t* data = static_cast<const uint8_t*>(bytes);
    for (uint32_t i = 0; i < size; ++i) {
      if (at[i] != 0xFF) self->is_misused = true;
    }
    for (uint32_t i = 0; i < size; ++i) {
      if (!self->power.Take()) {
        return tinytrain::Status::Error(tinytrain::Code::kStorage);
      }
      at[i] &= data[i];
    }
    return tinytrain::Status::Ok();
  }

  static tinytrain::Status Sync(void*) { return tinytrain::Status::Ok(); }

  tinytrain::Storage storage() {
    const tinytrain::Storage storage = {this,  slot_bytes, unit, Read,
                                        Erase, Write,      Sync};
    return storage;
  }
};

#endif  // TESTS_MICRO_POWER_CUT_H_
