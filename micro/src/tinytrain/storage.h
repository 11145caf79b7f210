#ifndef TINYTRAIN_STORAGE_H_
#define TINYTRAIN_STORAGE_H_

#include <stdint.h>

#include "tinytrain/status.h"

namespace tinytrain {

const uint32_t kSlotCount = 2;

// Largest `Storage::write_bytes`.
const uint32_t kMaxWriteBytes = 64;

// Where the two slots of docs/format.md lie: RAM, a file, pages of flash. The
// calls return kStorage when the device fails, with what they know in numbers.
struct Storage {
  void* context;        // The first argument of every call.
  uint32_t slot_bytes;  // Size of each slot.

  // Offsets and sizes of writes are multiples of this: a power of two up to
  // `kMaxWriteBytes`, 1 where single bytes can be written.
  uint32_t write_bytes;

  Status (*read)(void* context, uint32_t slot, uint32_t offset, void* bytes,
                 uint32_t size);

  // Makes the slot ready for new content: its first four bytes are no longer
  // those of a checkpoint, and every byte may be written once.
  Status (*erase)(void* context, uint32_t slot);

  Status (*write)(void* context, uint32_t slot, uint32_t offset,
                  const void* bytes, uint32_t size);

  // Returns when all that was erased and written survives a loss of power.
  Status (*sync)(void* context);
};

}  // namespace tinytrain

#endif  // TINYTRAIN_STORAGE_H_
