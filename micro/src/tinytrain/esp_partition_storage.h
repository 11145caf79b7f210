#ifndef TINYTRAIN_ESP_PARTITION_STORAGE_H_
#define TINYTRAIN_ESP_PARTITION_STORAGE_H_

#include <esp_partition.h>

#include "tinytrain/storage.h"

// Needs ESP-IDF: ESP32 and its successors.
namespace tinytrain {

// Two slots in a data partition, whatever else is in it.
class EspPartitionSlots {
 public:
  // Makes `storage` of slots of at least so many bytes, in the partition of
  // that name. kRegionTooSmall if it is, kStorage if there is none.
  Status Open(const char* label, uint32_t slot_bytes, Storage* storage) {
    partition_ = esp_partition_find_first(ESP_PARTITION_TYPE_DATA,
                                          ESP_PARTITION_SUBTYPE_ANY, label);
    if (partition_ == nullptr) return Status::Error(Code::kStorage);
    slot_bytes_ = (slot_bytes + kSector - 1) / kSector * kSector;
    const uint32_t taken = kSlotCount * slot_bytes_;
    if (taken > partition_->size) {
      return Status::TooSmall(taken, partition_->size);
    }
    const Storage found = {this, slot_bytes_, kUnit, Read, Erase, Write, Sync};
    *storage = found;
    return Status::Ok();
  }

 private:
  static const uint32_t kSector = 4096;
  static const uint32_t kUnit = 16;  // Of encrypted flash.

  static Status Told(esp_err_t result) {
    return result == ESP_OK ? Status::Ok() : Status::Error(Code::kStorage);
  }

  static Status Read(void* context, uint32_t slot, uint32_t offset, void* bytes,
                     uint32_t size) {
    const EspPartitionSlots& self = *static_cast<EspPartitionSlots*>(context);
    const uint32_t at = slot * self.slot_bytes_ + offset;
    return Told(esp_partition_read(self.partition_, at, bytes, size));
  }

  static Status Erase(void* context, uint32_t slot) {
    const EspPartitionSlots& self = *static_cast<EspPartitionSlots*>(context);
    return Told(esp_partition_erase_range(
        self.partition_, slot * self.slot_bytes_, self.slot_bytes_));
  }

  static Status Write(void* context, uint32_t slot, uint32_t offset,
                      const void* bytes, uint32_t size) {
    const EspPartitionSlots& self = *static_cast<EspPartitionSlots*>(context);
    const uint32_t at = slot * self.slot_bytes_ + offset;
    return Told(esp_partition_write(self.partition_, at, bytes, size));
  }

  static Status Sync(void*) { return Status::Ok(); }

  const esp_partition_t* partition_;
  uint32_t slot_bytes_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_ESP_PARTITION_STORAGE_H_
