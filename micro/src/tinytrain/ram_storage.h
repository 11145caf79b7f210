#ifndef TINYTRAIN_RAM_STORAGE_H_
#define TINYTRAIN_RAM_STORAGE_H_

#include <stdint.h>

#include "tinytrain/storage.h"

namespace tinytrain {

// Two slots in memory: to hand a checkpoint over, or in RAM with a battery.
// Does not own the slots.
struct RamSlots {
  uint8_t* slots[kSlotCount];
};

// Returns storage in `*slots`, `slot_bytes` each.
Storage RamStorage(RamSlots* slots, uint32_t slot_bytes);

}  // namespace tinytrain

#endif  // TINYTRAIN_RAM_STORAGE_H_
