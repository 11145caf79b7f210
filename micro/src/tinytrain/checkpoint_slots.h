#ifndef TINYTRAIN_CHECKPOINT_SLOTS_H_
#define TINYTRAIN_CHECKPOINT_SLOTS_H_

#include <stdint.h>

#include "tinytrain/format.h"
#include "tinytrain/model.h"
#include "tinytrain/status.h"
#include "tinytrain/storage.h"

namespace tinytrain {

// Of the pieces in which storage is read and written: the header is one.
const uint32_t kChunkBytes = sizeof(format::CheckpointHeader);

// Returns kOk and the header if the slot is complete: it begins with a whole
// checkpoint of the model whose checksum is right. Otherwise says why not.
Status InspectSlot(const Model& model, const Storage& storage, uint32_t slot,
                   format::CheckpointHeader* header);

// Finds the newest complete slot. If there is none, says why: kNoCheckpoint if
// neither slot holds anything, otherwise what is wrong with the one that does.
Status FindNewest(const Model& model, const Storage& storage, uint32_t* slot,
                  format::CheckpointHeader* header);

// Continues a checksum with bytes `begin` to `end` of a slot.
Status SlotCrc(const Storage& storage, uint32_t slot, uint32_t begin,
               uint32_t end, uint32_t* crc);

// Checksum of the header, which what lies behind it continues.
uint32_t HeaderCrc(const format::CheckpointHeader& header);

}  // namespace tinytrain

#endif  // TINYTRAIN_CHECKPOINT_SLOTS_H_
