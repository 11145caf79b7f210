#include "tinytrain/checkpoint_slots.h"

#include "tinytrain/crc32.h"

namespace tinytrain {
namespace {

// Whether a sequence number comes after another; they wrap around.
bool IsNewer(uint32_t a, uint32_t b) {
  const uint32_t ahead = a - b;
  return 1 <= ahead && ahead <= 0x7FFFFFFF;
}

Status Unequal(Code code, uint32_t expected, uint32_t received) {
  const Status status = {code, expected, received, 0};
  return status;
}

}  // namespace

uint32_t HeaderCrc(const format::CheckpointHeader& header) {
  return FileCrc(reinterpret_cast<const uint8_t*>(&header), sizeof(header));
}

Status SlotCrc(const Storage& storage, uint32_t slot, uint32_t begin,
               uint32_t end, uint32_t* crc) {
  uint8_t chunk[kChunkBytes];
  while (begin < end) {
    const uint32_t left = end - begin;
    const uint32_t size = left < kChunkBytes ? left : kChunkBytes;
    const Status status =
        storage.read(storage.context, slot, begin, chunk, size);
    if (!status.ok()) return status;
    *crc = Crc32(chunk, size, *crc);
    begin += size;
  }
  return Status::Ok();
}

Status InspectSlot(const Model& model, const Storage& storage, uint32_t slot,
                   format::CheckpointHeader* header) {
  if (storage.slot_bytes < sizeof(*header)) {
    return Status::TooSmall(sizeof(*header), storage.slot_bytes);
  }
  Status status =
      storage.read(storage.context, slot, 0, header, sizeof(*header));
  if (!status.ok()) return status;
  const format::CheckpointHeader& h = *header;
  if (h.magic != format::kCheckpointMagic) {
    return Status::Error(Code::kNoCheckpoint);
  }
  if (h.byte_order != format::kByteOrder) {
    return Unequal(Code::kBadFormat, format::kByteOrder, h.byte_order);
  }
  if (h.major != format::kMajorVersion) {
    return Unequal(Code::kWrongVersion, format::kMajorVersion, h.major);
  }
  if (h.size > storage.slot_bytes) {
    return Status::TooSmall(h.size, storage.slot_bytes);
  }
  if (h.header_size < sizeof(h) || h.header_size % 4 != 0 ||
      h.header_size > h.size) {
    return Unequal(Code::kBadFormat, sizeof(h), h.header_size);
  }
  uint32_t crc = HeaderCrc(h);
  status = SlotCrc(storage, slot, sizeof(h), h.size, &crc);
  if (!status.ok()) return status;
  if (crc != h.crc) return Unequal(Code::kCorrupt, h.crc, crc);
  if (h.base.value() != model.base()) {
    return Unequal(Code::kWrongModel, static_cast<uint32_t>(model.base()),
                   h.base.low);
  }
  return Status::Ok();
}

Status FindNewest(const Model& model, const Storage& storage, uint32_t* slot,
                  format::CheckpointHeader* header) {
  Status reason = Status::Error(Code::kNoCheckpoint);
  bool is_found = false;
  for (uint32_t i = 0; i < kSlotCount; ++i) {
    format::CheckpointHeader other;
    const Status status = InspectSlot(model, storage, i, &other);
    if (status.code == Code::kStorage) return status;
    if (!status.ok()) {
      if (reason.code == Code::kNoCheckpoint) reason = status;
      continue;
    }
    if (is_found && !IsNewer(other.sequence, header->sequence)) continue;
    is_found = true;
    *slot = i;
    *header = other;
  }
  return is_found ? Status::Ok() : reason;
}

}  // namespace tinytrain
